/** One pair after another, beside its images, for people who decide. Every action is one key, and a button, too. */
import { button, canShow, card, chip, empty, field, filters, keyHints, kbd, meter, page, select, toast } from "../components.js";
import { h, replace } from "../dom.js";
import { languageName, number, plural } from "../format.js";
import { judgedText, media, Outbox, reviewer, setReviewer, surroundings, texts, verdicts } from "../review_parts.js";

export const title = "Review";

const WAYS = [["random", "Random sample"], ["worth", "Worth most"], ["rule", "By rule"], ["score", "Low score"], ["disagreement", "Disagreements"]];
const FETCHED = 12;
const LOW = 5; // items left, at which more are fetched

let view = null;

export async function render(context) {
  const asks = { by: context.query.get("by") || "random", rule: context.query.get("rule") || "", language: context.query.get("language") || "" };
  view = { context, ...asks, items: [], at: 0, known: new Set(), done: [], mode: "", unsaved: 0, fetching: null, ended: false,
    place: h("div", { class: "review-place" }), status: h("span", { role: "status" }), bar: h("div"), progress: h("div") };
  if (!reviewer()) return page("Review", {}, askName(context));
  view.outbox = new Outbox(context.run, (unsaved) => view && showUnsaved(unsaved), refused);
  for (const { decision } of view.outbox.waiting) { // the viewer does not know yet that these are done
    if (decision.reviewer === reviewer() && decision.verdict !== "comment") view.known.add(`${decision.language || ""} ${decision.pair}`);
  }
  await fetchMore(true);
  draw();
  context.keys({
    a: [() => accept(), "accept"], r: [() => open("reject"), "reject, then 1 to 6 for the reason"], e: [() => open("edit"), "edit"],
    c: [() => open("comment"), "comment"], u: [() => undo(), "undo"], j: [() => step(1), "next"], k: [() => step(-1), "previous"],
    i: [() => document.querySelector(".review .thumb")?.click(), "open the image"], Escape: [() => open(""), "close what is open"],
    ...Object.fromEntries("123456".split("").map((digit) => [digit, [() => reason(Number(digit)), ""]])),
    Enter: [() => view.mode === "reject" && reject(""), ""],
  });
  return page("Review", { note: view.status, actions: button(reviewer(), { kind: "quiet", title: "Change the name", onclick: () => rename(context) }), wide: true },
    view.bar, view.progress, view.place,
    keyHints([["a", "accept"], ["r", "reject"], ["e", "edit"], ["c", "comment"], ["u", "undo"], ["j", "next"], ["k", "previous"], ["?", "all keys"]]));
}

export function dispose() {
  view?.outbox?.close();
  view = null;
}

function askName(context) {
  const input = h("input", { name: "name", required: true, maxlength: 80, autocomplete: "name", dir: "auto" });
  return h("form", { class: "card stack", onsubmit: (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    setReviewer(input.value);
    context.retry();
  } }, field("Your name", input, "Decisions are kept by name: use the same one each time, and another one than your colleagues."), h("div", { class: "actions" }, button("Begin", { kind: "primary", type: "submit" })));
}

function rename(context) {
  setReviewer("");
  context.retry();
}

/** Fetch more of the queue; what is on the page already is left out. */
async function fetchMore(first = false) {
  if (view.fetching || (view.ended && !first)) return view.fetching;
  const mine = view;
  const query = new URLSearchParams({ by: view.by, reviewer: reviewer(), limit: String(FETCHED + view.outbox.waiting.length + view.items.length - view.at + skipped()) });
  if (view.rule) query.set("rule", view.rule);
  if (view.language) query.set("language", view.language);
  view.fetching = view.context.api(`review/queue?${query}`);
  try {
    const reply = await view.fetching;
    if (view !== mine) return;
    const fresh = reply.pairs.filter((item) => !view.known.has(keyOf(item)));
    fresh.forEach((item) => view.known.add(keyOf(item)));
    view.items.push(...fresh);
    view.ended = fresh.length === 0;
    view.facts = reply;
    drawBar();
    drawProgress();
    preload();
  } finally {
    mine.fetching = null;
  }
}

const keyOf = (item) => `${languageOf(item) || ""} ${item.id}`;
const skipped = () => view.items.slice(0, view.at).filter((item) => !item.mine).length;
const languageOf = (item) => item.language || view.language;
const current = () => view.items[view.at];

function preload() {
  for (const item of view.items.slice(view.at + 1, view.at + 3)) {
    for (const { url } of item.images.filter(canShow).slice(0, 4)) new Image().src = url;
  }
}

function drawBar() {
  const { rules, languages } = view.facts;
  const change = (name) => (value) => view.context.navigate(view.context.href("/review", { by: view.by, rule: view.rule, language: view.language, [name]: value }), { replace: true }).then?.(() => {});
  const named = [["", "choose a rule"], ...rules.map(({ name, answers }) => [name, `${name} (${number(answers)})`])];
  replace(view.bar, filters(select(WAYS, view.by, change("by"), { label: "Which pairs" }),
    view.by === "rule" && select(named, view.rule, change("rule"), { label: "Rule" }),
    languages.length > 0 && ["random", "score"].includes(view.by) && select([["", "Original"], ...languages.map((each) => [each, languageName(each)])], view.language, change("language"), { label: "Language" })));
}

function drawProgress() {
  const { progress, agreement } = view.facts;
  const kappa = agreement.kappa;
  replace(view.progress, h("p", { class: "review-progress" },
    h("span", null, h("b", null, number(progress.mine)), " by you"), h("span", null, h("b", null, number(progress.today)), " today"),
    h("span", null, h("b", null, number(progress.seen)), ` of ${plural(progress.total, "pair")} by all `, meter(progress.total ? progress.seen / progress.total : 0, `${number(progress.seen)} of ${number(progress.total)} pairs`)),
    agreement.pairs > 0 && h("span", { title: `${agreement.method} kappa over ${plural(agreement.pairs, "pair")} that two or more people judged` }, "agreement ", h("b", null, kappa === null ? "–" : kappa.toFixed(2)))));
}

function showUnsaved(unsaved) {
  view.unsaved = unsaved;
  if (!unsaved) replace(view.status);
  else if (unsaved > 1 || !view.slow) view.slow ||= setTimeout(() => view && ((view.slow = 0), view.unsaved && replace(view.status, `${plural(view.unsaved, "decision")} not saved yet`)), 1500);
}

function refused(decision, error) {
  if (view) toast(`${decision.pair}: ${error.message}`, { kind: "bad" });
}

// The pair on the screen

function draw() {
  const item = current();
  if (!item) {
    replace(view.place, empty(view.by === "rule" && !view.rule ? "Choose a rule" : "Nothing left here", view.by === "rule" && !view.rule ? "You see the answers that it rejected." : "You have judged everything in this queue.",
      button("Look at what is worth most", { href: view.context.href("/review", { by: "worth" }) })));
    return;
  }
  const language = languageOf(item);
  const text = judgedText(item, language);
  const review = text.review;
  const shows = item.mine || view.by === "disagreement" || review.verdicts[reviewer()];
  replace(view.place, h("article", { class: "review split", tabindex: -1, "aria-label": "Pair to review" },
    h("div", { class: "stack" }, media(item), view.mode !== "edit" && h("div", { class: "wide-only stack" }, surroundings(item, language, view.context))),
    h("div", { class: "stack" },
      h("section", { class: "card review-card" }, item.mine && h("p", { class: "about" }, chip(`you: ${item.mine}`, { kind: "accent" })),
        view.mode === "edit" ? editor(text, language) : texts(item, language), shows && verdicts(review)),
      controls(item),
      h("div", { class: "narrow-only stack" }, surroundings(item, language, view.context)))));
}

function controls() {
  if (view.mode === "reject") {
    return h("div", { class: "card stack why", role: "group", tabindex: -1, "aria-label": "Why? Press a digit, or Enter for no reason." }, h("h2", null, "Why? "), h("div", { class: "reasons" }, view.facts.reasons.map((why, at) => button(why, { key: String(at + 1), onclick: () => reject(why) }))),
      h("div", { class: "actions" }, button("No reason", { key: "Enter", kind: "quiet", onclick: () => reject("") }), button("Cancel", { key: "Escape", kind: "quiet", onclick: () => open("") })));
  }
  if (view.mode === "edit") return null;
  if (view.mode === "comment") return commentForm();
  return h("div", { class: "review-actions", role: "group", "aria-label": "Your decision" },
    button("Accept", { key: "a", kind: "primary", onclick: accept }), button("Reject", { key: "r", kind: "bad", onclick: () => open("reject") }),
    button("Edit", { key: "e", onclick: () => open("edit") }), button("Comment", { key: "c", onclick: () => open("comment") }),
    button("Undo", { key: "u", onclick: undo, disabled: !view.done.length }), button("Skip", { key: "j", onclick: () => step(1) }));
}

function editor(text, language) {
  const area = (label, value, rows) => h("textarea", { "aria-label": label, value, rows, dir: "auto", lang: language || null, onkeydown: saves(save) });
  const before = view.editing || { instruction: text.instruction, answer: text.answer };
  const instruction = area("Question", before.instruction, 2);
  const answer = area("Answer", before.answer, Math.min(12, 3 + Math.ceil(before.answer.length / 70)));
  function save() {
    const values = { instruction: instruction.value.trim(), answer: answer.value.trim() };
    if (!values.instruction || !values.answer) toast("A pair needs a question and an answer.", { kind: "bad" });
    else if (values.instruction === text.instruction && values.answer === text.answer) accept();
    else decide("edit", "edited", values);
  }
  return h("form", { class: "stack", onsubmit: (event) => (event.preventDefault(), save()) }, field("Question", instruction), field("Answer", answer),
    h("div", { class: "actions" }, button("Cancel", { kind: "quiet", key: "Escape", onclick: () => open("") }), button(["Save ", kbd("Ctrl"), kbd("Enter")], { kind: "primary", type: "submit" })));
}

function commentForm() {
  const input = h("textarea", { rows: 3, dir: "auto", "aria-label": "Comment", onkeydown: saves(save) });
  function save() {
    if (!input.value.trim()) return open("");
    send("comment", { comment: input.value.trim() });
    toast("Comment saved.");
    return open("");
  }
  return h("form", { class: "card stack", onsubmit: (event) => (event.preventDefault(), save()) }, field("Comment for the others", input),
    h("div", { class: "actions" }, button("Cancel", { kind: "quiet", key: "Escape", onclick: () => open("") }), button(["Save ", kbd("Ctrl"), kbd("Enter")], { kind: "primary", type: "submit" })));
}

const saves = (save) => (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    save();
  } else if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    open("");
  }
};

// What people do

function open(mode) {
  const item = current();
  if (!item || (mode === "" && !view.mode)) return false;
  if (mode === "edit" && item.kind !== "pair") {
    toast("Only pairs can be edited.");
    return true;
  }
  view.mode = mode;
  draw();
  const target = document.querySelector(mode === "reject" ? ".why" : ".review form textarea");
  (target || document.querySelector(".review"))?.focus({ preventScroll: mode === "" });
  if (mode === "reject") view.context.say("Why? Press a digit, or Enter for no reason.");
  return true;
}

function reason(digit) {
  if (view.mode !== "reject" || !view.facts.reasons[digit - 1]) return false;
  reject(view.facts.reasons[digit - 1]);
  return true;
}

const accept = () => decide("accept", "accepted");
const reject = (why) => decide("reject", "rejected", { reason: why });

function decide(verdict, word, values = {}) {
  const item = current();
  if (!item) return;
  send(verdict, values);
  if (!item.mine) view.facts.progress = { ...view.facts.progress, mine: view.facts.progress.mine + 1, today: view.facts.progress.today + 1 };
  item.mine = word;
  view.done.push(view.at);
  drawProgress();
  step(1, `${word}. `);
}

function send(verdict, values) {
  const item = current();
  const text = judgedText(item, languageOf(item));
  view.outbox.add({ pair: item.id, n: item.n, text_hash: text.text_hash, language: languageOf(item) || null, reviewer: reviewer(), verdict,
    draw: languageOf(item) ? "" : item.draw, ...values }, (reply) => { text.review = reply.review; });
}

/** Take the last decision of this visit back, and show its pair again. */
function undo() {
  if (!view.done.length) return void view.context.say("Nothing to undo.");
  view.at = view.done.pop();
  const item = current();
  item.mine = "";
  send("undo", { draw: "" });
  view.facts.progress = { ...view.facts.progress, mine: view.facts.progress.mine - 1, today: view.facts.progress.today - 1 };
  drawProgress();
  show("Undone. ");
}

async function step(by, said = "") {
  const next = view.at + by;
  if (next < 0) return void view.context.say("This is the first one.");
  if (by > 0 && view.items.length - next <= LOW) {
    const waiting = fetchMore().catch((error) => view && toast(error.message, { kind: "bad" }));
    if (next >= view.items.length) await waiting;
    if (!view) return;
  }
  view.at = Math.min(next, view.items.length);
  show(said);
  preload();
}

function show(said) {
  view.mode = "";
  draw();
  window.scrollTo(0, 0);
  document.querySelector(".review")?.focus({ preventScroll: true });
  const item = current();
  view.context.say(`${said}${item ? `${item.instruction} ${item.answer}`.slice(0, 600) : "Nothing left here."}`);
}
