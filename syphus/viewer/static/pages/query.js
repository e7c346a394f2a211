/** One query: its pictures and annotation, the pairs, every answer, why each fell, and the exact messages. */
import { canShow, card, chip, facts, filmstrip, icon, imagesHint, more, page, pictures, plain, prose, stateChip, why, words } from "../components.js";
import { h } from "../dom.js";
import { duration, languageName, money, number, plural, short } from "../format.js";
import { address } from "../router.js";
import { neighbour } from "../query_list.js";

export const title = "Query";

export async function render(context) {
  const n = Number(context.params.n);
  const query = await context.api(`queries/${n}`);
  const to = async (step) => {
    const other = await neighbour(context, n, step, query.neighbours);
    if (other === null) context.say(step > 0 ? "This is the last one." : "This is the first one.");
    else await context.navigate(context.href(`/queries/${other}`, context.query), { replace: true });
  };
  const back = context.href("/queries", context.query);
  context.keys({
    j: [() => to(1), "next query"], k: [() => to(-1), "previous query"], ArrowRight: [() => to(1), ""], ArrowLeft: [() => to(-1), ""],
    Escape: [() => context.navigate(back), "back to the list"],
    m: [() => toggle("#messages details"), "open or close the messages"],
  });
  sessionStorage.setItem(`syphus-at-${context.run}`, String(n));
  const step = (by, label, name) => h("button", { class: "icon-button", type: "button", title: `${label} (${by > 0 ? "j" : "k"})`, "aria-label": label, onclick: () => to(by) }, icon(name));
  const content = page(query.id, {
    note: [h("a", { href: back }, "Queries"), query.position !== null && ` · row ${number(query.position + 1)}`],
    actions: [stateChip(query.state), step(-1, "Previous query", "left"), step(1, "Next query", "right")], wide: true },
  verdict(query),
  h("div", { class: "split" },
    h("div", { class: "stack" }, media(query.images), annotation(query)),
    h("div", { class: "stack" }, pairs(query, context), (query.parts || []).length > 0 && parts(query.parts), answers(query, context), messages(query))));
  return content;
}

function toggle(selector) {
  const element = document.querySelector(selector);
  if (element) element.open = !element.open;
}

function verdict({ state, reason, detail }) {
  if (state === "ok" || (!reason && !detail)) return null;
  const again = detail && reason && detail.includes(reason);
  return h("p", { class: "notice", dataset: { kind: state === "failed" ? "bad" : "warn" } }, h("b", null, again ? detail : reason || state), detail && !again && [h("br"), detail]);
}

function media(images) {
  const bad = images.filter(({ problem }) => problem);
  const hint = imagesHint({ images });
  images = images.filter(canShow);
  const frames = images.filter(({ seconds }) => seconds !== null && seconds !== undefined);
  const stills = images.filter((image) => !frames.includes(image));
  return [stills.length > 0 && pictures(stills, { large: stills.length < 3 }), frames.length > 0 && filmstrip(frames), hint,
    bad.map(({ name, problem }) => h("p", { class: "notice", dataset: { kind: "bad" } }, h("b", null, name || "A picture"), ` ${problem}`))];
}

function annotation(query) {
  const meta = Object.entries(query.meta || {});
  return card("Annotation", query.problem && h("p", { class: "notice", dataset: { kind: "bad" } }, query.problem), prose(query.annotation || "none"), meta.length > 0 && more("Fields of the row", facts(meta.map(([name, value]) => [name, plain(value)]))));
}

function pairs(query, context) {
  if (!query.pairs.length) return null;
  return card(plural(query.pairs.length, "pair"), h("div", { class: "list" }, query.pairs.map((pair) => h("article", { class: "pair", id: pair.id },
    prose(pair.instruction, { tag: "h3" }), prose(pair.answer, { tag: "p" }), translations(pair.translations),
    h("p", { class: "about" }, h("span", null, pair.id), related(pair.related, context))))));
}

function related(list, context) {
  if (!list?.length) return null;
  return h("span", null, "related: ", list.map((each, at) => {
    const [id, n] = typeof each === "string" ? [each, null] : [each.id, each.n];
    return [at > 0 && ", ", n ? h("a", { href: `${context.href(`/queries/${n}`)}#${encodeURIComponent(id)}` }, id) : id];
  }));
}

/** Translations side by side; each text goes in its own direction. */
function translations(all) {
  const languages = Object.entries(all || {});
  if (!languages.length) return null;
  return h("div", { class: "translations" }, languages.map(([language, each]) => h("div", { class: "box", lang: language },
    h("p", { class: "about", lang: "en" }, h("b", null, languageName(language)), each.state && each.state !== "ok" && stateChip(each.state), each.reason && h("span", { class: "why" }, each.reason)),
    each.instruction && prose(each.instruction, { lang: language, tag: "p" }), each.answer && prose(each.answer, { lang: language, tag: "p" }))));
}

/** The parts of a query that has several, such as the languages of a pair. */
function parts(list) {
  return card("Parts", h("div", { class: "list" }, list.map((part) => h("article", { class: "stack tight" },
    h("p", { class: "about" }, h("b", null, part.name), stateChip(part.state), part.reason && h("span", { class: "why" }, why(part.reason, part.detail)),
      part.asked > 1 && h("span", null, `asked ${number(part.asked)} times`)),
    part.text && prose(part.text, { lang: part.name, mono: false })))));
}

function answers(query, context) {
  if (!query.answers.length) return card("Answers", h("p", { class: "note" }, query.state === "pending" ? "No answer yet." : "No answer came."));
  const head = [plural(query.answers.length, "answer"), h("span", { class: "count" }, query.attempts > 1 ? ` ${plural(query.attempts, "attempt")}` : "")];
  const repairs = Object.entries(query.repairs || {});
  return card(head, repairs.length > 0 && h("p", { class: "about repairs" }, "Repaired: ", repairs.map(([name, times]) => chip(times > 1 ? `${name} × ${times}` : name))), h("div", { class: "list" }, query.answers.map((answer) => oneAnswer(answer, query, context))));
}

function oneAnswer(answer, query, context) {
  const many = query.answers.length > 1;
  const said = answer.verdict || {};
  return h("article", { class: "stack tight" },
    h("p", { class: "about" },
      many && chip(answer.used ? (query.state === "ok" ? "used" : "newest") : "not used", { kind: answer.used && query.state === "ok" ? "ok" : "quiet" }),
      said.state && said.state !== "ok" && stateChip(said.state),
      said.reason && h("span", { class: "why" }, why(said.reason, said.detail))),
    answer.refusal && h("p", { class: "notice", dataset: { kind: "warn" } }, h("b", null, "Refused: "), answer.refusal),
    !answer.text && answer.refusal ? null : prose(answer.text || "(an empty text)", { mono: true, marks: (answer.marks || []).map(([start, end, rule]) => [start, end, rule || said.reason]) }),
    h("p", { class: "about" },
      answer.model && h("span", null, answer.model), answer.finish_reason && h("span", null, `ended by ${answer.finish_reason}`),
      tokens(answer.tokens), h("span", null, money(answer.cost)), answer.seconds !== null && answer.seconds !== undefined && h("span", null, duration(answer.seconds)),
      many && h("span", null, `sample ${answer.sample + 1}`),
      (answer.flags || []).map((flag) => h("span", null, words(String(flag)))),
      answer.session !== null && answer.session !== undefined && h("a", { href: address(context.href("/queries"), { session: answer.session }) }, `session ${answer.session}`)));
}

function tokens(counts) {
  if (!counts) return null;
  const input = counts.input ?? counts.prompt;
  const output = counts.output ?? counts.completion;
  const extra = [counts.cached && `${short(counts.cached)} cached`, counts.reasoning && `${short(counts.reasoning)} reasoning`].filter(Boolean).join(", ");
  return h("span", null, `${short(input)} in, ${short(output)} out${extra ? ` (${extra})` : ""}`);
}

function messages(query) {
  if (!query.messages?.length) return null;
  return h("section", { class: "card", id: "messages" }, more(`The exact ${plural(query.messages.length, "message")}`, h("div", { class: "list" },
    query.messages.map(({ role, content, own }) => h("article", { class: "message" }, h("h3", null, role, own && h("span", { class: "count" }, " this query")), body(content, query.images))))));
}

function body(content, images) {
  if (typeof content === "string") return prose(content, { mono: true });
  return content.map((part) => {
    if (part.image === undefined || part.image === null) return prose(part.text ?? "", { mono: true });
    const image = images.find(({ k }) => k === part.image);
    return image && canShow(image) ? pictures([image]) : h("p", { class: "note" }, `picture ${part.image + 1}`);
  });
}
