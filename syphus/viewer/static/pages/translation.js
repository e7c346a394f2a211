/** Translations by language: states, cost, what the checks and a judge found, and pairs beside their source. */
import { card, chip, empty, facts, more, page, prose, stateBar, stateChip, table, tabs } from "../components.js";
import { h } from "../dom.js";
import { money, number, plural, share, short } from "../format.js";

export const title = "Translation";

export async function render(context) {
  const found = await context.api("translation");
  if (!found.languages.length) return empty("No translations", "A run translates its pairs with --languages, or later with `syphus translate`.");
  const behind = found.behind ? `${plural(found.behind, "pair")} newer than the translation` : "";
  return page("Translation", { note: [plural(found.pairs, "pair"), plural(found.languages.length, "language"), behind].filter(Boolean).join(" · ") },
    card(null, table({ caption: "Languages", rows: found.languages, columns: [
      { label: "Language", wide: true, cell: ({ name, own_name: own, code }) => [name, " ", h("span", { class: "muted", lang: code, dir: "auto" }, own)] },
      { label: "Pairs", numeric: true, cell: ({ states }) => number(states.ok) },
      { label: "Pending", numeric: true, cell: ({ states }) => number(states.pending) },
      { label: "Rejected", numeric: true, cell: ({ states }) => number(rejected(states)) },
      { label: "Retried", numeric: true, cell: ({ retried }) => number(retried) },
      { label: "Tokens a pair", numeric: true, cell: ({ tokens, states }) => (states.ok ? short((tokens.input + tokens.output) / states.ok) : "–") },
      { label: "Cost a pair", numeric: true, cell: ({ cost, states }) => (states.ok && cost !== null ? money(cost / states.ok) : "–") },
      { label: "Judged bad", numeric: true, cell: ({ judged }) => (judged && total(judged) ? share(bad(judged) / total(judged)) : "–") },
    ] })),
    tabs(found.languages.map((each) => ({ label: each.name, content: () => language(each, context) })), { label: "Languages" }));
}

function language(found, context) {
  const rows = (state) => context.href("/queries", { stage: "translate", language: found.code, state });
  return h("div", { class: "stack" },
    h("div", { class: "card" }, stateBar(found.states, { href: rows })),
    found.reasons.length > 0 && card("Why translations were rejected", table({ caption: "Reasons", rows: found.reasons, columns: [
      { label: "Reason", wide: true, cell: ({ reason }) => reason },
      { label: "State", cell: ({ state }) => stateChip(state) },
      { label: "Pairs", numeric: true, cell: ({ pairs }) => number(pairs) },
    ] })),
    found.judged && judged(found),
    card("A sample", found.sample.length ? beside(found, found.sample) : h("p", { class: "note" }, "No pairs yet.")));
}

function judged({ judged: counts, ...found }) {
  const list = [["good", number(counts.good)], ...Object.entries(counts.bad).map(([fault, count]) => [fault, number(count)]),
    counts.unclear ? ["unclear", number(counts.unclear)] : null, counts.pending ? ["pending", number(counts.pending)] : null];
  return card("Judged by a model", facts(list, { sums: true }), counts.shown.length > 0 && more(plural(counts.shown.length, "bad translation"), beside(found, counts.shown)));
}

/** Pairs with their source on the left. */
function beside(found, pairs) {
  return h("div", { class: "list" }, pairs.map(({ id, source, translation, fault, reason }) => h("article", null,
    h("p", { class: "note" }, id, fault && [" ", chip(fault, { kind: "bad" }), " ", reason]),
    h("div", { class: "grid" }, h("div", { lang: "en", dir: "ltr" }, text(source)), h("div", { lang: found.code, dir: found.rtl ? "rtl" : "ltr" }, text(translation))))));
}

function text({ instruction, answer }) {
  return h("div", { class: "pair" }, h("div", { class: "instruction" }, prose(instruction)), h("div", { class: "answer" }, prose(answer)));
}

function rejected(states) {
  return Object.entries(states).reduce((sum, [state, count]) => (state === "ok" || state === "pending" ? sum : sum + count), 0);
}

function bad({ bad: counts }) {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function total(counts) {
  return counts.good + bad(counts);
}
