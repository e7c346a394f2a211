/** The queries of a run, with filters that are part of the address, in pages of fifty. */
import { button, canShow, chip, empty, errorState, filters, icon, imagesHint, keyHints, page, pager, search, segments, select, stateChip, why } from "../components.js";
import { h, replace } from "../dom.js";
import { languageName, number, plural, share } from "../format.js";
import { remember } from "../query_list.js";

export const title = "Queries";

const FILTERS = ["stage", "state", "reason", "rule", "model", "language", "session", "text"];
const EDGES = ["after", "before"];

let view = null; // what is on the screen: {context, overview, list, bar, note, current, request}

export async function render(context) {
  const overview = await context.api("overview");
  view = { context, overview, list: h("div", { class: "stack" }), bar: h("div"), note: h("p", { class: "note", role: "status" }), current: 0 };
  context.subscribe("overview", notice);
  context.keys({
    j: [() => move(1), "next query"], k: [() => move(-1), "previous query"],
    Enter: [open, "open it"], "/": [() => view.bar.querySelector("input[type=search]").focus(), "search"],
    "]": [() => turn("next"), "next page"], "[": [() => turn("prev"), "previous page"],
    x: [() => clear(), "clear the filters"],
  });
  drawFilters();
  await load();
  return page("Queries", { note: view.note },
    view.bar, view.list, keyHints([["j", "next"], ["k", "previous"], ["Enter", "open"], ["/", "search"], ["?", "all shortcuts"]]));
}

/** Only the filters or the page of the list changed: the fields stay, and what is typed in them. */
export async function update(context) {
  const typing = view.bar.contains(document.activeElement) && document.activeElement.type === "search";
  if (!typing) drawFilters();
  await load();
  if (EDGES.some((edge) => context.query.has(edge))) window.scrollTo(0, 0);
}

export function dispose() {
  view = null;
}

function filtersOf(query) {
  return Object.fromEntries(FILTERS.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
}

function drawFilters() {
  const { context, overview } = view;
  const query = context.query;
  const set = (name) => (value) => context.setQuery({ [name]: value, after: null, before: null }, { replace: name === "text" });
  const taken = filtersOf(query);
  const states = ["ok", "invalid", "truncated", "refused", "failed", "pending"].filter((state) => overview.counts[state] || state === query.get("state"));
  const reasons = overview.reasons.filter(({ state }) => !query.get("state") || state === query.get("state")).map(({ reason }) => reason);
  const rules = [...new Set(Object.values(overview.rules || {}).flatMap((counts) => Object.keys(counts || {})))];
  const models = Array.isArray(overview.models) ? overview.models : Object.keys(overview.models || {});
  const menus = [
    ["reason", "Any reason", [...new Set(reasons)]],
    ["rule", "Any rule", rules],
    ["model", "Any model", models.length > 1 ? models : []],
    ["language", "English pairs", (overview.languages || []).map((code) => [code, languageName(code)])],
    ["session", "Any session", overview.sessions.length > 1 ? overview.sessions.map(({ id }) => [String(id), `session ${id}`]) : []],
  ];
  replace(view.bar, h("div", { class: "stack" },
    states.length > 1 && segments([["", "All"], ...states.map((state) => [state, [state, " ", h("span", { class: "count" }, number(overview.counts[state]))]])], query.get("state") || "", set("state"), { label: "State" }),
    filters(
      search(query.get("text"), set("text"), { label: "Search in annotations and answers" }),
      menus.map(([name, none, options]) => menu(name, none, options, query.get(name), set(name))),
      Object.keys(taken).length > 0 && button("Clear", { kind: "quiet", onclick: clear }))));
}

function menu(name, none, options, value, set) {
  const known = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  if (value && !known.some(([key]) => key === value)) known.push([value, value]);
  if (!known.length) return null;
  const box = select([["", none], ...known], value, set, { label: name });
  if (value) box.classList.add("taken");
  return box;
}

function clear() {
  view.context.setQuery(Object.fromEntries([...FILTERS, ...EDGES].map((name) => [name, null])));
  view.bar.querySelectorAll("input[type=search]").forEach((input) => {
    input.value = "";
  });
}

async function load() {
  const { context } = view;
  view.request?.abort();
  const request = new AbortController();
  view.request = request;
  context.signal.addEventListener("abort", () => request.abort());
  const wanted = { ...filtersOf(context.query), ...Object.fromEntries(EDGES.filter((edge) => context.query.get(edge)).map((edge) => [edge, context.query.get(edge)])) };
  let found;
  try {
    found = await context.api(`queries?${new URLSearchParams({ ...wanted, limit: 50 })}`, { signal: request.signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    replace(view.list, errorState(error.message, load));
    return;
  }
  if (!view) return;
  view.found = found;
  remember(context.run, filtersOf(context.query), found);
  draw(found);
}

function draw(found) {
  const { context } = view;
  const carried = filtersOf(context.query);
  const searched = found.searched !== undefined && found.searched !== null && found.searched < 1;
  const summary = found.rows.length ? `${plural(found.rows.length, "query", "queries")} here${found.next ? ", more follow" : ""}` : "";
  replace(view.note, searched ? `${share(found.searched)} of the rows are searched so far: the search index is being made.` : summary);
  view.current = found.rows.findIndex(({ n }) => String(n) === sessionStorage.getItem(`syphus-at-${context.run}`));
  if (!found.rows.length) {
    const filtered = Object.keys(carried).length > 0;
    replace(view.list, empty(filtered ? "Nothing matches" : "No queries yet", filtered ? "No query has all of these." : "They appear as soon as the run has read its input.",
      filtered && button("Clear the filters", { onclick: clear })));
  } else {
    const turned = (edge, cursor) => cursor && context.href("/queries", { ...carried, [edge]: cursor });
    replace(view.list,
      imagesHint(...found.rows),
      h("ol", { class: "rows" }, found.rows.map((row, at) => line(row, at, carried))),
      (found.previous || found.next) && pager({ previous: turned("before", found.previous), next: turned("after", found.next) }));
  }
  mark(false);
  context.say(summary || "Nothing matches");
}

function line(row, at, carried) {
  const { context } = view;
  const frame = row.images?.find(canShow);
  return h("li", { class: "line", dataset: { at }, onclick: (event) => event.target.closest("a") || open(at) },
    h("a", { class: "cover", href: context.href(`/queries/${row.n}`, carried), onclick: () => keep(row) }, row.id),
    stateChip(row.state),
    h("p", { class: "snippet", dir: "auto" }, row.annotation || h("span", { class: "muted" }, "no annotation")),
    h("p", { class: "about" },
      row.reason && h("span", { class: "why" }, why(row.reason, row.detail)),
      h("span", null, row.pairs ? plural(row.pairs, "pair") : "no pairs"),
      row.attempts > 1 && h("span", null, plural(row.attempts, "attempt")),
      row.model && Object.keys(view.overview.models || {}).length > 1 && h("span", null, row.model),
      row.images?.length > 1 && h("span", null, plural(row.images.length, "picture"))),
    frame && h("img", { class: "peek", src: frame.url || `/api/runs/${encodeURIComponent(context.run)}/images/${row.n}/${frame.k}`, alt: "", loading: "lazy", decoding: "async", onerror: (event) => event.target.remove() }));
}

function keep(row) {
  sessionStorage.setItem(`syphus-at-${view.context.run}`, String(row.n));
}

function mark(scroll = true) {
  const lines = [...view.list.querySelectorAll(".line")];
  lines.forEach((each, at) => each.classList.toggle("current", at === view.current));
  if (!scroll || !lines[view.current]) return;
  lines[view.current].querySelector("a").focus({ preventScroll: true });
  lines[view.current].scrollIntoView({ block: "nearest" });
}

function move(by) {
  const last = (view.found?.rows.length || 1) - 1;
  view.current = Math.max(0, Math.min(last, view.current + by));
  mark();
}

function open(at = view.current) {
  view.list.querySelectorAll(".line a")[Math.max(0, typeof at === "number" ? at : view.current)]?.click();
}

function turn(rel) {
  view.list.querySelector(`.pager a[rel=${rel}]`)?.click();
}

/** The run went on: say so, and leave the list as it is until somebody wants the new one. */
function notice(overview) {
  const before = view.overview;
  view.overview = overview;
  if (JSON.stringify(before.counts) === JSON.stringify(overview.counts) || view.note.querySelector("button")) return;
  replace(view.note, chip("The run went on"), " ", button([icon("check"), "Refresh"], { kind: "quiet", onclick: () => {
    drawFilters();
    load();
  } }));
}
