/** "/compare?runs=a,b": numbers, costs and texts of several runs beside each other. */
import { card, chip, page, pager, prose, segments, stateBar, stateChip, table } from "../components.js";
import { h } from "../dom.js";
import { money, number, plural, share, short } from "../format.js";
import { address } from "../router.js";

export const title = "Compare";

export async function render(context) {
  const { query } = context;
  const found = await context.api(address("/api/compare", { runs: query.get("runs"), after: query.get("after"), only: query.get("only") }));
  const { runs, rows, next } = found;
  const only = segments([["", "All queries"], ["different", "Only those that differ"]], query.get("only") || "", (value) => context.setQuery({ only: value, after: null }), { label: "Queries" });
  return page("Compare", { note: plural(runs.length, "run"), wide: true },
    card(null, numbers(runs)),
    settings(runs),
    h("div", { class: "grid" }, runs.map((run) => card(run.name, stateBar(run.counts, { href: (state) => address(`/runs/${run.key}/queries`, { state }) })))),
    h("section", { class: "section" }, h("h2", null, "Queries"), h("div", { class: "filters" }, only),
      rows.length ? rows.map((row) => queryCard(row, runs)) : h("p", { class: "note" }, next ? "None of these differ." : "No queries here."),
      pager({
        previous: query.get("after") ? address("/compare", { runs: query.get("runs"), only: query.get("only") }) : null,
        next: next && address("/compare", { runs: query.get("runs"), only: query.get("only"), after: next }),
        note: only && query.get("only") ? `${number(found.looked_at)} looked at` : null })));
}

export async function update(context) {
  await context.retry();
}

function numbers(runs) {
  const each = (label, cell) => ({ label, cell });
  const lines = [
    each("State", ({ state }) => chip(state)),
    each("Model", ({ models }) => (models || []).join(", ") || "–"),
    each("Rows ok", ({ counts, total }) => `${number(counts.ok)} of ${number(total)} (${share(total ? counts.ok / total : null)})`),
    each("Pairs", ({ pairs }) => number(pairs)),
    each("Pairs a row", ({ pairs, counts }) => (counts.ok ? number(pairs / counts.ok, 2) : "–")),
    each("Spent", ({ money: sums }) => money(sums.spent)),
    each("Cost of 1,000 pairs", ({ money: sums, pairs }) => (pairs && sums.spent !== null ? money((1000 * sums.spent) / pairs) : "–")),
    each("Input tokens a row", ({ tokens, total, counts }) => perRow(tokens.input, total - (counts.pending || 0))),
    each("Output tokens a row", ({ tokens, total, counts }) => perRow(tokens.output, total - (counts.pending || 0))),
    each("Read from cache", ({ tokens }) => share(tokens.input ? tokens.cached / tokens.input : null)),
  ];
  return table({ caption: "Numbers of the runs", rows: lines, columns: [
    { label: "", cell: ({ label }) => label },
    ...runs.map((run) => ({ label: h("a", { href: `/runs/${run.key}` }, run.name), numeric: true, cell: ({ cell }) => cell(run) })),
  ] });
}

function perRow(tokens, rows) {
  return rows ? short(tokens / rows) : "–";
}

/** The settings in which the runs differ. */
function settings(runs) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.settings || {})))];
  const shown = (run, name) => (run.settings?.[name] === undefined || run.settings[name] === null ? "–" : String(run.settings[name]));
  const different = names.filter((name) => new Set(runs.map((run) => shown(run, name))).size > 1);
  return different.length > 0 && card("Settings that differ", table({ caption: "Settings", rows: different, columns: [
    { label: "Setting", cell: (name) => name.replaceAll("_", " ") },
    ...runs.map((run) => ({ label: run.name, cell: (name) => shown(run, name) })),
  ] }));
}

function queryCard(row, runs) {
  return h("article", { class: "card" }, h("h3", null, row.id), row.annotation && h("p", { class: "note" }, row.annotation),
    h("div", { class: "grid" }, row.runs.map((cell, at) => h("section", { "aria-label": runs[at].name },
      h("p", { class: "note" }, runs[at].name, " ", cell ? stateChip(cell.state) : "does not have this query", cell && [" ", h("a", { href: `/runs/${runs[at].key}/queries/${cell.n}` }, "open")]),
      cell?.reason && h("p", null, cell.reason),
      cell && cell.pairs.map(({ instruction, answer }) => h("div", { class: "pair" }, h("div", { class: "instruction" }, prose(instruction)), h("div", { class: "answer" }, prose(answer))))))));
}
