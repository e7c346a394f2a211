/** What a cold start has found: the set, its proof, each round, and each candidate with its scores. */
import { card, chip, empty, facts, meter, more, page, prose, stateChip, stats, table, tabs, words } from "../components.js";
import { h } from "../dom.js";
import { money, number, plural, share } from "../format.js";

export const title = "Cold start";

const KINDS = { satisfactory: "ok", accepted: "ok", searching: "accent", stopped: "warn", unsatisfactory: "bad" };

export async function render(context) {
  const { record, result, stages } = await context.api("cold-start");
  if (!record && !result) return empty("No cold start", "This run began with the examples of its prompt, or without any.");
  const note = [record && plural(record.rounds, "round"), record && plural(record.requests, "request"), result && money(result.cost)].filter(Boolean).join(" · ");
  return page("Cold start", { note, actions: record && chip(record.state, { kind: KINDS[record.state] || "quiet" }) },
    result?.simulated && h("p", { class: "notice" }, "The answers are made up by the simulated endpoint, not by a model."),
    record?.stopped && h("p", { class: "notice", dataset: { kind: "warn" } }, record.stopped),
    lines("What is missing", record?.missing || result?.missing),
    lines("What to try", record?.advice || result?.advice),
    record && record.asked > 0 && proof(record),
    result ? found(result) : progress(stages));
}

function lines(name, list) {
  return list && list.length > 0 && card(name, h("ul", null, list.map((each) => h("li", null, each))));
}

function proof(record) {
  const [mean, low, high] = record.gain;
  return stats([
    { label: "Examples in the set", value: number(record.examples) },
    { label: "Held-out answers", value: number(record.asked) },
    { label: "Valid with the set", value: share(record.valid_share), note: `${share(record.plain_share)} without` },
    { label: "Score with the set", value: number(record.score, 2) },
    { label: "Gain", value: number(mean, 2), note: `95% interval ${number(low, 2)} to ${number(high, 2)}` },
  ]);
}

function progress(stages) {
  return card("So far", table({ caption: "Stages", rows: stages, columns: [
    { label: "Stage", wide: true, cell: ({ name }) => name },
    { label: "Answered", numeric: true, cell: ({ answered }) => number(answered) },
    { label: "Queries", numeric: true, cell: ({ queries }) => number(queries) },
  ] }));
}

function found(result) {
  return [
    result.rounds.length > 0 && card("Rounds", table({ caption: "Rounds", rows: result.rounds, columns: [
      { label: "Round", numeric: true, cell: ({ round }) => [number(round), round === result.best_round && [" ", chip("best", { kind: "accent" })]] },
      { label: "Candidates", numeric: true, cell: ({ candidates }) => number(candidates.length) },
      { label: "Chosen", numeric: true, cell: ({ chosen }) => number(chosen.length) },
      { label: "Valid with", numeric: true, cell: ({ proof: each }) => (each ? share(each.with_the_set.valid_share) : "–") },
      { label: "Valid without", numeric: true, cell: ({ proof: each }) => (each ? share(each.without.valid_share) : "–") },
      { label: "Score with", numeric: true, cell: ({ proof: each }) => (each ? number(each.with_the_set.score, 2) : "–") },
      { label: "Score without", numeric: true, cell: ({ proof: each }) => (each ? number(each.without.score, 2) : "–") },
      { label: "Gain", numeric: true, cell: ({ proof: each }) => (each ? `${number(each.gain.mean, 2)} (${number(each.gain.low, 2)} to ${number(each.gain.high, 2)})` : "–") },
    ] })),
    result.examples.length > 0 && card("The set", h("div", { class: "list" }, result.examples.map((each) => candidate(each)))),
    result.rounds.length > 0 && h("section", { class: "section" }, h("h2", null, "Candidates"),
      tabs(result.rounds.map((round) => ({ label: `Round ${round.round}`, content: () => h("div", { class: "list" }, [...round.candidates].sort((a, b) => b.score - a.score).map((each) => candidate(each, true))) })), { label: "Rounds" })),
  ];
}

function candidate(each, closed) {
  const head = [h("b", null, each.query), " ", stateChip(each.state), " ", each.fate && chip(each.fate, { kind: each.fate === "taken" ? "accent" : "quiet" }), ` score ${number(each.score, 2)}`];
  const body = [
    each.reason && h("p", { class: "note" }, each.reason), each.barred && h("p", { class: "note" }, each.barred),
    h("div", { class: "grid" },
      h("div", null, h("h3", null, "Annotation"), prose(each.annotation)),
      h("div", null, h("h3", null, "Pairs"), (each.pairs ?? []).map(({ question, answer }) => h("div", { class: "pair" }, h("div", { class: "instruction" }, prose(question)), h("div", { class: "answer" }, prose(answer)))))),
    facts(Object.entries(each.scores ?? {}).map(([name, score]) => [words(name), [meter(score, `${number(score, 2)} of 1`), ` ${number(score, 2)}`, each.notes?.[name] && h("span", { class: "note" }, ` ${each.notes[name]}`)]])),
  ];
  return closed ? more(head, h("div", { class: "stack" }, body)) : h("article", { class: "stack" }, h("p", null, head), body);
}
