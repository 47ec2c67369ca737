// Below the graph: how the circuit was judged, prompt by prompt, what breaks it, what is claimed of it, and its origin.

import { DATA, GRAPH } from "./data.js";
import { dots, promptWords } from "./charts.js";
import { button, byId, counted, el, fill, number, percent, quoted, say, table } from "./dom.js";
import { change, view } from "./state.js";

/** Fill in every section there is something for, and the links to them. */
export function showSections() {
  /** @type {[string, string, (Node | null)[]][]} */
  const sections = [
    ["judgement", "Judgement", judgement()],
    ["prompts", "Prompts", prompts()],
    ["roles", "Roles", explained()],
    ["attacks", "Attacks", attacks()],
    ["claims", "Claims", claims()],
    ["origin", "Run it again", origin()],
    ["lacking", "Not here", lacking()],
  ];
  const there = sections.filter(([, , parts]) => parts.some(Boolean));
  fill(byId("sections"), there.map(([id, title]) => button(title, () => byId(id).scrollIntoView(), { class: "link" })));
  fill(
    byId("more"),
    there.map(([id, title, parts]) => el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), parts)),
  );
}

/** @returns {(Node | null)[]} */
function judgement() {
  const judged = GRAPH.sizes.find((size) => size.found)?.faithfulness;
  return [judged ? levels(judged) : null, ...assessed(), sensitivity(), stability()];
}

/** @param {import("./data.js").Faithfulness} judged */
function levels(judged) {
  const kept = judged.normalised;
  /** @param {string} name @param {import("./data.js").Levels} of @param {(value: number) => string} shown */
  const row = (name, of, shown) => [name, shown(of.full), shown(of.circuit), shown(of.none)];
  return el(
    "div",
    {},
    el("p", {}, `The circuit of ${counted(judged.size.edges, "edge")} keeps `, el("strong", {}, percent(kept.value)), ` of the behaviour (95% CI ${percent(kept.low)} to ${percent(kept.high)}), on prompts that it was not found on.`),
    table(
      ["", "full model", "circuit", "ablated"],
      [
        row(DATA.circuit.metric?.name?.replaceAll("_", " ") ?? "metric", judged.metric, number),
        row("KL from the full model, nats", judged.kl, number),
        row("accuracy", judged.accuracy, percent),
      ],
      "Metric, KL and accuracy",
    ),
    el("p", { class: "faint" }, `KL over the prompts: median ${number(judged.kl_tail.median)}, 95th percentile ${number(judged.kl_tail.p95)}, worst ${number(judged.kl_tail.max)} nats`),
  );
}

/** What `acdc evaluate --full` asked. @returns {(Node | null)[]} */
function assessed() {
  const evaluation = DATA.evaluation;
  if (!evaluation?.sections?.length) return [];
  const rows = evaluation.sections.map((/** @type {any} */ one) => [one.question, mark(one.verdict), one.finding]);
  return [
    el("h3", {}, "Everything that is asked of it: ", mark(evaluation.verdict)),
    table(["question", "verdict", "what it rests on"], rows, "Questions and verdicts", "stacked"),
  ];
}

/** What it keeps by ablation and metric. */
function sensitivity() {
  const kept = DATA.evaluation?.sections?.find((/** @type {any} */ one) => one.kept)?.kept;
  if (!kept) return null;
  const [ablations, metrics] = [Object.keys(kept), Object.keys(/** @type {any} */ (Object.values(kept)[0]))];
  const rows = metrics.map((metric) => [
    metric.replaceAll("_", " "),
    ...ablations.map((ablation) => {
      const cell = el("span", { class: "share" }, percent(kept[ablation][metric]));
      cell.style.setProperty("--share", `${Math.round(60 * Math.max(0, Math.min(1, kept[ablation][metric] ?? 0)))}%`);
      return cell;
    }),
  ]);
  return el("div", {}, el("h3", {}, "What it keeps, by metric and ablation"), table(["", ...ablations], rows, "Sensitivity"), el("p", { class: "faint" }, `–: not measurable, ablating the whole model does not hurt${"optimal" in kept ? "" : "; optimal ablation is not measured, its constants are learned with --ablation optimal"}`));
}

function stability() {
  const said = DATA.stability;
  if (!said) return null;
  const rows = ["resamples", "seeds"]
    .filter((name) => said[name])
    .map((name) => [name, said[name].runs, number(said[name].with_circuit), number(said[name].jaccard), `${said[name].fewest} to ${said[name].most}`]);
  const outside = Object.entries(said.found_often_outside ?? {});
  return el(
    "div",
    {},
    el("h3", {}, "Discovered again"),
    table(["on other", "times", "Jaccard with this circuit", "with each other", "edges"], rows, "Stability"),
    outside.length ? el("p", {}, `Found often, but not in this circuit: ${outside.map(([edge, often]) => `${edge} (${percent(/** @type {number} */ (often))})`).join(", ")}`) : null,
  );
}

/** @returns {(Node | null)[]} */
function prompts() {
  if (!DATA.prompts.length) return [];
  const words = el("p", { class: "told", role: "status" }, "Point at a dot for its prompt. A triangle: the model is right there and the circuit is wrong.");
  const tell = (/** @type {number} */ index) => fill(words, promptWords(DATA.prompts[index]));
  const metric = DATA.circuit.metric?.name?.replaceAll("_", " ") ?? "metric";
  const wrong = DATA.prompts.filter((one) => one.model_right && !one.circuit_right).length;
  return [
    el("p", {}, `${counted(DATA.prompts.length, "judgement prompt")}; on ${wrong} of them the model is right and the circuit wrong.`),
    dots(DATA.prompts, (one) => one.kl, "KL from the model, nats", tell),
    metric === "kl" ? null : dots(DATA.prompts, (one) => one.metric.circuit, `${metric} of the circuit`, tell),
    words,
    el("details", {}, el("summary", {}, "All of them"), el("ol", {}, DATA.prompts.map((one) => el("li", {}, promptWords(one))))),
  ];
}

/** What `acdc explain` measured of roles and of heads together. @returns {(Node | null)[]} */
function explained() {
  const { checks = [], interactions = [] } = DATA.explanation ?? {};
  const checked = checks.map((/** @type {any} */ one) => [one.role, one.heads.join(", "), percent(one.cost), percent(one.others), one.agrees ? "✓ yes" : "· no"]);
  const together = interactions
    .filter((/** @type {any} */ one) => one.structure !== "additive")
    .map((/** @type {any} */ one) => [one.heads.join(" + "), one.structure, one.alone.map(percent).join(" and "), percent(one.both)]);
  return [
    checked.length ? table(["role", "heads", "ablating them costs", "as many others of their layers", "agrees"], checked, "Roles, checked by ablation", "stacked") : null,
    together.length ? el("h3", {}, "Heads that work together") : null,
    together.length ? table(["heads", "how", "alone", "both"], together, "What ablating pairs of heads costs", "stacked") : null,
  ];
}

/** @returns {(Node | null)[]} */
function attacks() {
  const attack = DATA.attack;
  if (!attack) return [];
  const worst = attack.worst ?? [];
  const failing = worst.filter((/** @type {any} */ one) => one.fails).length;
  const diagnosis = attack.diagnosis ?? [];
  return [
    el("p", {}, failing ? `The circuit can be broken: on ${failing} of the ${worst.length} worst prompts the model is right and it is wrong.` : "Wherever the model was right, so was the circuit."),
    el("ol", { class: "cases" }, worst.slice(0, 20).map((/** @type {any} */ one) => el("li", {}, caseWords(one), repairOf(one, diagnosis)))),
    worst.length > 20 ? el("p", { class: "faint" }, `The 20 worst of ${worst.length}; attack.json has all.`) : null,
    attack.variations ? variations(attack.variations) : null,
  ];
}

/** @param {any} one */
function caseWords(one) {
  return [
    quoted(one.pair.clean, "prompt"),
    " → the model says ",
    quoted(one.model, one.model_right ? "right" : "wrong"),
    ", the circuit ",
    quoted(one.circuit, one.circuit_right ? "right" : "wrong"),
    `; KL ${number(one.kl)} nats, found by ${one.found_by}. `,
  ];
}

/** What repairs a case, with a button that shows it in the graph. @param {any} one @param {any[]} diagnosis */
function repairOf(one, diagnosis) {
  const at = diagnosis.findIndex((each) => each.case.pair.clean === one.pair.clean && each.case.pair.corrupt === one.pair.corrupt);
  if (at < 0 || !diagnosis[at].together.length) return null;
  const edges = diagnosis[at].together.map((/** @type {any} */ back) => back.edge).join(", ");
  const words = `${diagnosis[at].repaired ? "Repaired by" : "Not repaired by"} ${edges} `;
  const show = button("show in the graph", () => {
    change({ repair: view.repair === at ? -1 : at });
    byId("drawing").scrollIntoView();
    say(view.repair === at ? `The graph shows ${edges}` : "The graph shows the circuit alone");
  });
  return el("span", {}, words, show);
}

/** @param {any[]} varied */
function variations(varied) {
  const rows = varied.map((one) => [one.name, mark(one.verdict), percent(one.measured?.kept ?? one.kept), number(one.measured?.kl?.max ?? one.kl?.max)]);
  return el("div", {}, el("h3", {}, "The same behaviour in other surfaces"), table(["variation", "verdict", "of what the model does", "worst KL"], rows, "Variations"));
}

/** @returns {(Node | null)[]} */
function claims() {
  const rows = (DATA.claims?.claims ?? []).map((/** @type {any} */ one) => [
    mark(one.error ? "error" : one.passed ? "passed" : "failed"),
    one.claim ?? "",
    one.value === undefined ? quoted(one.error ?? "") : `${number(one.value)}${one.low === undefined ? "" : ` (95% CI ${number(one.low)} to ${number(one.high)})`}`,
    [one.at_least === undefined ? "" : `at least ${number(one.at_least)}`, one.at_most === undefined ? "" : `at most ${number(one.at_most)}`].filter(Boolean).join(", "),
    quoted(one.file ?? ""),
  ]);
  return rows.length ? [table(["", "claim", "measured", "claimed", "file"], rows, "Claims of hypothesis files", "stacked")] : [];
}

/** @param {string} verdict */
function mark(verdict) {
  const good = ["holds", "passed"].includes(verdict);
  const bad = ["fails", "failed", "breaks", "error"].includes(verdict);
  return el("span", { class: good ? "good" : bad ? "bad" : "faint" }, `${good ? "✓" : bad ? "✗" : "·"} ${verdict}`);
}

/** @returns {(Node | null)[]} */
function origin() {
  const { edges, curve, faithfulness, schema, groups, roles, stability: _, ...rest } = DATA.circuit;
  return [command(DATA.commands.again), el("details", {}, el("summary", {}, "Everything its record says"), facts(rest))];
}

/** A command with a button that copies it. @param {string} words */
export function command(words) {
  const told = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(words);
      said("Copied");
    } catch {
      getSelection()?.selectAllChildren(code);
      said(document.execCommand("copy") ? "Copied" : "Press Ctrl+C");
    }
  });
  const code = el("code", {}, words);
  /** @param {string} what */
  const said = (what) => {
    fill(told, what);
    say(what);
  };
  return el("p", { class: "command" }, code, told);
}

/** @param {any} record @returns {Node} */
function facts(record) {
  if (record === null || typeof record !== "object") return quoted(String(record));
  return el("dl", { class: "facts" }, Object.entries(record).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, facts(value))]));
}

/** @returns {(Node | null)[]} */
function lacking() {
  if (!DATA.lacking.length) return [];
  const rows = DATA.lacking.map((one) => el("li", {}, `${one.what}${one.why ? ` (${one.why})` : ""}: `, command(one.command)));
  return [el("p", {}, "What this page could also show, and the command that measures it; then `acdc report` again."), el("ul", {}, rows)];
}
