/** The pairs of a run beside their images: in a grid, or one by one. */
import { button, canShow, empty, filters, imagesHint, keyHints, page, prose, search, segments, select, toast } from "../components.js";
import { h, replace } from "../dom.js";
import { languageName } from "../format.js";
import { judgedText, media, reviewChip, surroundings, texts, verdicts } from "../review_parts.js";

export const title = "Pairs";

const STATES = [["", "all"], ["unseen", "not reviewed"], ["accepted", "accepted"], ["rejected", "rejected"], ["edited", "edited"], ["disputed", "disputed"]];

let view = null;

export async function render(context) {
  view = { context, pairs: [], next: "", at: 0, box: h("div", { class: "stack" }), bar: h("div"), loading: null, asked: "" };
  context.keys({
    j: [() => move(1), "next pair"], k: [() => move(-1), "previous pair"], ArrowRight: [() => one() && move(1), ""], ArrowLeft: [() => one() && move(-1), ""],
    Enter: [() => show(view.at), "show it beside its images"], Escape: [() => one() && context.setQuery({ pair: null }), "back to the grid"],
    i: [() => document.querySelector(".pair-one .thumb")?.click(), "open the image"], "/": [() => view.bar.querySelector("input")?.focus(), "search"],
  });
  await load();
  drawBar();
  draw();
  return page("Pairs", { actions: button("Review", { kind: "primary", href: context.href("/review", { language: context.query.get("language") }) }), wide: true }, view.bar, view.box,
    keyHints([["j", "next"], ["k", "previous"], ["Enter", "open"], ["Esc", "back to the grid"], ["/", "search"]]));
}

/** Only the address changed: the same list in another view, or another list. */
export async function update(context) {
  view.context = context;
  if (asked() !== view.asked) {
    Object.assign(view, { pairs: [], next: "", at: 0 });
    await load();
    drawBar();
  }
  draw();
}

export function dispose() {
  view = null;
}

const one = () => view.context.query.get("pair");
const language = () => view.context.query.get("language") || "";

function asked() {
  const query = new URLSearchParams();
  for (const name of ["review", "text", "rule", "language", "n"]) {
    const value = view.context.query.get(name);
    if (value) query.set(name, value);
  }
  return query.toString();
}

async function load() {
  if (view.next === null || view.loading) return view.loading;
  const mine = view;
  view.asked = asked();
  const query = new URLSearchParams(view.asked);
  query.set("limit", "24");
  if (view.next) query.set("after", view.next);
  view.loading = view.context.api(`pairs?${query}`);
  try {
    const reply = await view.loading;
    if (view !== mine) return;
    view.pairs.push(...reply.pairs);
    view.next = reply.next;
    view.languages = reply.languages;
  } finally {
    mine.loading = null;
  }
}

function drawBar() {
  const { query, setQuery } = view.context;
  replace(view.bar, filters(segments(STATES, query.get("review") || "", (review) => setQuery({ review, pair: null }), { label: "What reviewers say" }),
    search(query.get("text"), (text) => setQuery({ text, pair: null }), { label: "Text in question or answer" }),
    view.languages.length > 0 && select([["", "Original"], ...view.languages.map((each) => [each, languageName(each)])], language(), (value) => setQuery({ language: value }), { label: "Language" }),
    query.get("rule") && button(`repaired by: ${query.get("rule")}`, { title: "Remove this filter", onclick: () => setQuery({ rule: null }) })));
}

function draw() {
  const at = one() ? view.pairs.findIndex(({ id }) => id === one()) : -1;
  if (at >= 0) view.at = at;
  if (!view.pairs.length) replace(view.box, empty("No pairs here", view.next === null ? "No pair fits." : "None of the pairs looked at so far fits.", view.next !== null && moreButton("Look further")));
  else if (at >= 0) replace(view.box, single(view.pairs[at]));
  else replace(view.box, imagesHint(...view.pairs), h("ul", { class: "pair-grid" }, view.pairs.map(tile)), view.next !== null && h("div", { class: "actions" }, moreButton("More")));
}

function moreButton(label) {
  return button(label, { onclick: async () => {
    const before = view.pairs.length;
    try {
      await load();
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
    draw();
    document.querySelectorAll(".pair-tile a")[before]?.focus();
  } });
}

function tile(pair, at) {
  const text = judgedText(pair, language()) || pair;
  const [image] = pair.images.filter(canShow);
  const shown = image && `${image.url}${image.url.includes("?") ? "&" : "?"}size=480`;
  return h("li", { class: at === view.at ? "pair-tile current" : "pair-tile" },
    h("a", { href: view.context.href("/pairs", withPair(pair.id)), "aria-current": at === view.at ? "true" : null, onclick: () => { view.at = at; } },
      shown ? h("span", { class: "tile-image" }, h("img", { src: shown, alt: "", loading: "lazy", decoding: "async", onerror: (event) => event.target.closest(".tile-image").remove() }), pair.images.length > 1 && h("span", { class: "count" }, `${pair.images.length}`)) : null,
      prose(text.instruction, { tag: "span", lang: language() || null }), prose(text.answer, { tag: "span", lang: language() || null })),
    h("p", { class: "about" }, text.review.state !== "unseen" || text.review.outdated ? reviewChip(text.review) : null));
}

function withPair(id) {
  return { ...Object.fromEntries(view.context.query), pair: id };
}

function single(pair) {
  const text = judgedText(pair, language()) || pair;
  return h("article", { class: "pair-one split", "aria-label": "One pair" },
    h("div", { class: "stack" }, media(pair) || h("p", { class: "note" }, "This pair names no image."), h("div", { class: "wide-only stack" }, surroundings(pair, language(), view.context))),
    h("div", { class: "stack" }, h("section", { class: "card review-card" }, texts(pair, language()), h("p", { class: "about" }, reviewChip(text.review)), verdicts(text.review)),
      h("div", { class: "pager" }, button("Previous", { key: "k", disabled: view.at === 0, onclick: () => move(-1) }), button("Grid", { key: "Escape", onclick: () => view.context.setQuery({ pair: null }) }), button("Next", { key: "j", onclick: () => move(1) })),
      h("div", { class: "narrow-only stack" }, surroundings(pair, language(), view.context))));
}

function show(at) {
  const pair = view.pairs[at];
  if (pair) view.context.setQuery({ pair: pair.id }, { replace: Boolean(one()) });
}

async function move(by) {
  const next = view.at + by;
  if (next < 0) return void view.context.say("This is the first pair.");
  while (next >= view.pairs.length && view.next !== null) await load();
  if (!view || next >= view.pairs.length) return void view?.context.say("This is the last pair.");
  view.at = next;
  if (one()) return show(next);
  draw();
  const tiles = document.querySelectorAll(".pair-tile");
  tiles[next]?.querySelector("a").focus();
}
