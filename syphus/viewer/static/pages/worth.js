/** What rules and the judge are worth, by the decisions of reviewers: precision and recall with their intervals. */
import { button, card, empty, interval, more, page, stats, table } from "../components.js";
import { h } from "../dom.js";
import { number, plural, share } from "../format.js";

export const title = "Rules";

const STRATA = { accepted: "accepted answers", "judge bad": "pairs that the judge found bad", "judge good": "pairs that the judge found good" };

export async function render(context) {
  const worth = await context.api("worth");
  const { rules, together, accepted, judge, calibration } = worth;
  const next = worth.next.reduce((sum, { units }) => sum + units, 0);
  const link = (stratum) => stratum === "accepted" ? context.href("/review", { by: "random" })
    : context.href("/review", { by: "rule", rule: stratum.replace(/^rule /, "") });
  return page("Precision and recall of rules", { note: plural(worth.decisions, "decision"), actions: next > 0 && button("Review what is worth most", { kind: "primary", href: context.href("/review", { by: "worth" }) }) },
    worth.decisions === 0 && empty("No decisions yet", "A rule is worth what people say of the answers that it rejected, and of those that it let through."),
    stats([
      { label: "Bad answers among the accepted", value: estimate(accepted.bad_share), note: judged(accepted) },
      { label: "Bad answers that the rules find", value: estimate(together.recall), note: together.recall ? range(together.recall) : missing(rules, accepted) },
      { label: "Rejected answers that are bad", value: estimate(together.precision), note: together.precision ? range(together.precision) : "each rule needs a judgement" },
    ]),
    card("Rules", table({ caption: "Rules", rows: rules, empty: "No rule has rejected an answer.", columns: [
      { label: "Rule", wide: true, cell: ({ name }) => h("a", { href: context.href("/review", { by: "rule", rule: name }) }, name) },
      { label: "Rejected", numeric: true, cell: ({ answers }) => number(answers) },
      { label: "Judged", numeric: true, cell: ({ judged: count }) => number(count) },
      { label: "Precision: rejected answers that are bad", cell: ({ precision }) => bounds(precision) },
      { label: "Recall: share of all bad answers", cell: ({ recall }) => bounds(recall) },
    ] })),
    judge && card("The judge", table({ caption: "The judge", rows: [judge.bad, judge.good], columns: [
      { label: "Verdict", wide: true, cell: ({ name }) => h("a", { href: link(name) }, STRATA[name]) },
      { label: "Pairs", numeric: true, cell: ({ answers }) => number(answers) },
      { label: "Judged", numeric: true, cell: ({ judged: count }) => number(count) },
      { label: "Bad by people", numeric: true, cell: ({ bad }) => number(bad) },
    ] }), h("dl", { class: "facts" }, h("dt", null, "Precision"), h("dd", null, bounds(judge.precision)), h("dt", null, "Recall"), h("dd", null, bounds(judge.recall)))),
    calibration && calibrated(calibration),
    next > 0 && card("What to look at next", h("p", { class: "note" }, `Of the next ${number(next)} judgements, these narrow the intervals most.`),
      h("ul", { class: "legend" }, worth.next.map(({ stratum, units }) => h("li", null, h("a", { href: link(stratum) }, STRATA[stratum] || stratum.replace(/^rule /, ""), " ", h("b", null, number(units))))))),
    more("How this is reckoned",
      h("p", null, "A stratum is what is drawn from: accepted answers, and the answers that each rule rejected. Only what was drawn at random counts, and each stratum counts by its size, so that looking at bad pairs on purpose makes nothing look worse. One random pair stands for an accepted answer."),
      h("p", null, "An answer is bad if most reviewers reject or edit it. Intervals are at 95%: Wilson's for shares, MOVER for recall.")));
}

/** What the judge said of answers whose truth is known: `--calibrate-judge`. */
function calibrated({ model, answers, bad, sound, faults, ...found }) {
  const rows = Object.entries(faults).map(([name, each]) => ({ name, ...each }));
  return card("The judge on known faults", h("p", { class: "note" }, `${model} on ${plural(answers, "answer")} with ${plural(bad.pairs, "bad pair")} and ${plural(sound.pairs, "sound pair")}.`),
    h("dl", { class: "facts" }, [["Bad pairs that it finds", found.recall], ["Sound pairs that it calls bad", found.false_alarms], ["Precision on these", found.precision], ["Precision in this run", found.precision_in_run]]
      .map(([name, value]) => [h("dt", null, name), h("dd", null, bounds(value))])),
    table({ caption: "Faults", rows, empty: "No fault was planted.", columns: [
      { label: "Fault", wide: true, cell: ({ name }) => name },
      { label: "Pairs", numeric: true, cell: ({ pairs }) => number(pairs) },
      { label: "Found", cell: ({ pairs, found: hits, low, high }) => bounds({ share: hits / pairs, low, high }) },
    ] }));
}

function estimate(value) {
  return value ? share(value.share) : "–";
}

function range({ low, high }) {
  return `${share(low)} to ${share(high)}`;
}

function judged({ judged: count, answers, bad_share: bad }) {
  return bad ? `${range(bad)}, ${number(count)} of ${number(answers)} judged` : `none of ${number(answers)} judged yet`;
}

function missing(rules, accepted) {
  return !rules.length ? "no rule has rejected an answer" : accepted.judged ? "each rule needs a judgement" : "accepted answers need a judgement";
}

function bounds(value) {
  if (!value) return h("span", { class: "muted" }, "not judged yet");
  return h("span", { class: "bounds" }, interval(value.low, value.share, value.high), h("span", { class: "nowrap" }, share(value.share), h("span", { class: "note" }, ` ${range(value)}`)));
}
