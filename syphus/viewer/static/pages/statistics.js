/** How many pairs, words and images a run has. */
import { card, columns, empty, page, stateBar, stats, table } from "../components.js";
import { h } from "../dom.js";
import { number, share } from "../format.js";

export const title = "Statistics";

const CHARTS = [
  ["pairs_per_query", "Pairs per query"],
  ["question_words", "Words per question"],
  ["answer_words", "Words per answer"],
  ["annotation_words", "Words per annotation"],
  ["images_per_query", "Images per query"],
];

export async function render(context) {
  const found = await context.api("statistics");
  const note = found.is_exact ? `over ${number(found.counted)} queries that are ok` : `over an even sample of ${number(found.counted)} queries that are ok`;
  if (!found.queries) return empty("No queries yet", "The numbers appear once the run has read its input.");
  return page("Statistics", { note },
    h("div", { class: "card" }, stateBar(found.states, { href: (state) => context.href("/queries", { state }) })),
    stats([
      { label: "Pairs", value: number(found.pairs), href: context.href("/pairs") },
      ...CHARTS.map(([name, label]) => ({ label, value: number(found.distributions[name].mean, 1), note: `median ${number(found.distributions[name].median)}, at most ${number(found.distributions[name].max)}` })),
    ]),
    h("div", { class: "grid" }, CHARTS.filter(([name]) => found.distributions[name].bars.length > 1).map(([name, label]) =>
      card(label, columns(found.distributions[name].bars.map((bar) => ({ ...bar, label: bar.label.replace(" to ", "–") })), { label })))),
    found.openings.length > 0 && card("First words of questions", table({ caption: "First words", rows: found.openings, columns: [
      { label: "Words", wide: true, cell: ({ label }) => label || "–" },
      { label: "Questions", numeric: true, cell: ({ value }) => number(value) },
      { label: "Share", numeric: true, cell: ({ value }) => share(value / questions(found)) },
    ] })));
}

function questions(found) {
  return Math.max(1, found.distributions.question_words.bars.reduce((total, { value }) => total + value, 0));
}
