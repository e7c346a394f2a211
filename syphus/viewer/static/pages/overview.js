/** "/": all runs side by side. "/runs/{run}": the numbers of one, while it works and afterwards. */
import { button, card, chip, empty, errorState, facts, meter, more, page, plain, prose, sparkline, stateBar, stateChip, stats, table, words } from "../components.js";
import { h, morph } from "../dom.js";
import { ago, date, duration, money, number, plural, share, short } from "../format.js";
import { address } from "../router.js";

export const title = ({ run }) => (run ? "Overview" : "Runs");

let timer = null;

export async function render(context) {
  return context.run ? renderRun(context) : renderRuns(context);
}

export function dispose() {
  clearInterval(timer);
}

// All runs

async function renderRuns(context) {
  const { runs } = await context.api("/api/runs");
  if (runs.length === 1 && !context.query.has("all")) context.navigate(`/runs/${runs[0].key}`, { replace: true });
  const taken = new Set();
  let body = runList(runs, taken, context);
  timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      const fresh = await context.api("/api/runs");
      body = morph(body, runList(fresh.runs, taken, context));
    } catch (error) {
      if (error.status === 401) body.replaceWith((body = errorState(error.message)));
    }
  }, 2000);
  return body;
}

function runList(runs, taken, context) {
  const working = runs.filter(({ state }) => state === "working").length;
  const note = [plural(runs.length, "run"), working && `${number(working)} working`].filter(Boolean).join(", ");
  const compare = () => context.navigate(address("/compare", { runs: [...taken].join(",") }));
  if (!runs.length) return empty("No runs yet", "A run appears here as soon as it begins.");
  return page("Runs", { note, actions: runs.length > 1 && [h("span", { class: "note" }, "Choose two or more"), button("Compare", { onclick: () => taken.size > 1 && compare() })] },
    h("div", { class: "grid runs" }, runs.map((run) => runCard(run, taken))));
}

function runCard(run, taken) {
  if (run.problem) return h("article", { class: "card run" }, h("div", { class: "run-head" }, h("h2", null, run.name), chip("unreadable", { kind: "bad" })), h("p", { class: "note" }, run.problem));
  const choose = h("input", { type: "checkbox", checked: taken.has(run.key), "aria-label": `Compare ${run.name}`, value: run.key,
    onchange: ({ target }) => (target.checked ? taken.add(target.value) : taken.delete(target.value)) });
  return h("article", { class: "card run" },
    h("div", { class: "run-head" }, h("h2", null, h("a", { href: `/runs/${run.key}` }, run.name)), runState(run.state), choose),
    h("p", { class: "note" }, [run.model || "no model yet", run.simulated && "made-up answers", run.last && ago(run.last)].filter(Boolean).join(" · ")),
    stateBar(run.counts, { href: (state) => address(`/runs/${run.key}/queries`, { state }) }),
    h("p", { class: "run-sums" }, h("span", null, h("b", null, number(run.pairs)), " pairs"), h("span", null, h("b", null, money(run.cost)), " spent"),
      run.rate !== null && run.rate !== undefined && h("span", null, h("b", null, number(Math.round(run.rate))), " rows/min"),
      run.seconds_left !== null && run.seconds_left !== undefined && h("span", null, h("b", null, duration(run.seconds_left)), " left")));
}

function runState(state) {
  return chip(state, { kind: state === "working" ? "accent" : state === "stopped" ? "warn" : "quiet" });
}

// One run

async function renderRun(context) {
  let body = runPage(await context.api("overview"), context);
  context.subscribe("overview", (overview) => {
    body = morph(body, runPage(overview, context));
  });
  context.keys({ f: [() => context.navigate(context.href("/queries", { state: "failed" })), "rows that failed"] });
  return body;
}

function runPage(run, context) {
  const rowsOf = (state, reason) => context.href("/queries", { state, reason });
  return page(run.name || "Run", { note: subtitle(run), actions: runState(run.state || (run.working ? "working" : "complete")) },
    run.simulated && h("p", { class: "notice" }, "The answers are made up by the simulated endpoint, not by a model."),
    h("div", { class: "card" }, stateBar(run.counts, { href: (state) => rowsOf(state) })),
    stats([
      { label: "Pairs", value: number(run.pairs), note: run.counts.ok ? `${number(run.pairs / run.counts.ok, 1)} a row` : null, href: context.href("/pairs") },
      { label: "Rows a minute", value: run.rate === null ? "–" : number(Math.round(run.rate)), note: run.working ? null : "not working" },
      { label: "Time left", value: timeLeft(run), note: run.working && run.last_answer_seconds_ago > 60 ? `no answer for ${duration(run.last_answer_seconds_ago)}` : null },
      { label: "Spent", value: money(run.money.spent), note: run.money.limit ? `of ${money(run.money.limit)}` : "no limit" },
      { label: "Requests", value: short(run.requests?.made), note: run.requests?.limit ? `of ${number(run.requests.limit)}` : null },
      { label: "Prompt read from cache", value: share(run.prompt_cache_share ?? null), note: run.cache_hits ? `${plural(run.cache_hits, "answer")} shared` : null },
    ]),
    pace(run),
    h("div", { class: "grid" }, moneyCard(run), tokensCard(run)),
    run.reasons.length > 0 && card("Why rows have no pairs", table({
      caption: "Reasons", rows: run.reasons, href: ({ state, reason }) => rowsOf(state, reason),
      columns: [
        { label: "Reason", wide: true, cell: ({ reason, hint }) => [h("span", null, reason), hint && h("span", { class: "hint line" }, hint)] },
        { label: "State", cell: ({ state }) => stateChip(state) },
        { label: "Rows", numeric: true, cell: ({ rows }) => number(rows) },
      ] })),
    rulesCard(run, context),
    run.errors.length > 0 && card("Requests without an answer", table({
      caption: "Errors by cause", rows: run.errors,
      columns: [
        { label: "Cause", wide: true, cell: ({ cause, hint }) => [h("span", null, cause), hint && h("span", { class: "hint line" }, hint)] },
        { label: "Requests", numeric: true, cell: ({ requests }) => number(requests) },
      ] })),
    run.stages.length > 1 && card("Stages", run.stages.map((stage) => h("div", { class: "stage" }, h("h3", null, words(stage.name)), stateBar(stage.counts)))),
    endpointsCard(run.endpoints),
    sessionsCard(run.sessions),
    h("div", { class: "grid" },
      card("Settings", plain(run.settings)),
      card("Prompt", prose(run.prompt.system || "no system message", { mono: true }),
        run.prompt.examples.length > 0 && more(plural(run.prompt.examples.length, "example"), h("div", { class: "list" }, run.prompt.examples.map(example))))));
}

function subtitle(run) {
  const answered = run.total - (run.counts.pending || 0);
  const models = Object.keys(Array.isArray(run.models) ? Object.fromEntries(run.models.map((name) => [name, 1])) : run.models || {});
  return [`${number(answered)} of ${plural(run.total, "row")} done`, models.join(", "), run.process && `process ${run.process.pid} on ${run.process.host}`].filter(Boolean).join(" · ");
}

function timeLeft(run) {
  if (run.seconds_left !== null && run.seconds_left !== undefined) return duration(run.seconds_left);
  return run.counts.pending ? "–" : run.working ? "rows done" : "done";
}

function pace(run) {
  const values = (run.pace || []).map(({ outcomes }) => outcomes);
  return values.length > 2 && card("Rows in the last hour", sparkline(values, { label: `Rows done every ten seconds, at most ${number(Math.max(...values))}` }));
}

function moneyCard({ money: sums }) {
  const used = sums.limit ? ((sums.spent || 0) + (sums.reserved || 0) + (sums.maybe_billed || 0)) / sums.limit : null;
  return card("Money",
    facts([
      ["Spent", money(sums.spent)],
      ["Reserved for requests in flight", money(sums.reserved)],
      ["Perhaps billed without an answer", sums.maybe_billed_requests ? [money(sums.maybe_billed), h("span", { class: "note" }, ` ${plural(sums.maybe_billed_requests, "request")}`)] : money(sums.maybe_billed)],
      ["Limit", sums.limit ? money(sums.limit) : "none"],
    ], { sums: true }),
    used !== null && h("p", { class: "budget" }, meter(used, `${share(Math.min(1, used))} of the budget is used`, { kind: used > 0.95 ? "bad" : used > 0.8 ? "warn" : "" }), h("span", { class: "note" }, `${share(Math.min(1, used))} of the budget`)),
    sums.spent === null && h("p", { class: "note" }, "The price of a model is not known."));
}

function tokensCard({ tokens }) {
  const of = (part, whole) => (part && whole ? [short(part), h("span", { class: "note" }, ` ${share(part / whole)}`)] : short(part));
  return card("Tokens", facts([
    ["Input", short(tokens.input)],
    ["of it read from cache", of(tokens.cached, tokens.input)],
    ["of it written to cache", of(tokens.cache_write, tokens.input)],
    ["Output", short(tokens.output)],
    ["of it reasoning", of(tokens.reasoning, tokens.output)],
    tokens.estimated ? ["Estimated, for lack of figures", plural(tokens.estimated, "request")] : null,
  ], { sums: true }));
}

/** The rules that changed or rejected pairs, the most frequent first. */
function rulesCard({ rules }, context) {
  const list = Object.entries(rules || {}).flatMap(([kind, counts]) => Object.entries(counts || {}).map(([name, count]) => ({ kind, name, count })));
  if (!list.length) return null;
  list.sort((a, b) => b.count - a.count);
  return card("What the rules did", table({
    caption: "Rules", rows: list,
    href: ({ name }) => context.href("/queries", { rule: name }),
    columns: [
      { label: "Rule", wide: true, cell: ({ name }) => name },
      { label: "Did", cell: ({ kind }) => chip(kind === "repairs" ? "repaired" : "rejected", { kind: kind === "repairs" ? "quiet" : "warn" }) },
      { label: "Pairs", numeric: true, cell: ({ count }) => number(count) },
    ] }));
}

function endpointsCard(endpoints) {
  if (!endpoints.length) return null;
  return card("Endpoints", table({ caption: "Endpoints", rows: endpoints, columns: [
    { label: "Endpoint", wide: true, cell: ({ name }) => name },
    { label: "Requests", numeric: true, cell: ({ requests }) => number(requests) },
    { label: "Answered", numeric: true, cell: ({ answered }) => number(answered) },
    { label: "Limited", numeric: true, cell: ({ limited }) => number(limited) },
    { label: "Failed", numeric: true, cell: ({ failed, refused }) => number((failed || 0) + (refused || 0)) },
    { label: "Median", numeric: true, cell: ({ seconds }) => duration(seconds?.median) },
    { label: "p95", numeric: true, cell: ({ seconds }) => duration(seconds?.p95) },
    { label: "Cost", numeric: true, cell: ({ cost }) => money(cost) },
  ] }));
}

function sessionsCard(sessions) {
  if (!sessions.length) return null;
  return card("Sessions", table({ caption: "Sessions, the newest first", rows: sessions, columns: [
    { label: "Started", cell: ({ started }) => h("span", { class: "nowrap" }, date(started)) },
    { label: "Took", numeric: true, cell: ({ seconds, ended }) => (ended === null && seconds === null ? "–" : duration(seconds)) },
    { label: "Threads", numeric: true, cell: ({ threads }) => number(threads) },
    { label: "Endpoint", wide: true, cell: ({ endpoint, model }) => [endpoint, model && h("span", { class: "muted" }, ` ${model}`)] },
    { label: "Ended by", cell: ({ stopped, ended }) => (ended === null ? "no end" : stopped || "done") },
    { label: "Version", quiet: true, cell: ({ version, syphus }) => version || syphus },
  ] }));
}

function example(each, at) {
  if (each && typeof each === "object" && "role" in each) return h("div", null, h("h3", null, each.role), typeof each.content === "string" ? prose(each.content) : plain(each.content));
  return h("div", null, h("h3", null, `Example ${at + 1}`), plain(each));
}
