// Two circuits in one drawing: what is in both, in either, and what each keeps on whose prompts.

import { DATA, GRAPH } from "./data.js";
import { byId, counted, el, fill, percent, table } from "./dom.js";
import { change, view } from "./state.js";

/** @typedef {{value: string, words: string}} Choice */

/** Say what is compared, and let people choose what is drawn. */
export function showComparison() {
  const found = DATA.compared;
  if (!found) return;
  const count = (/** @type {string} */ side) => (GRAPH.sides ?? []).filter((one) => one === side).length;
  /** @type {Choice[]} */
  const choices = [
    { value: "either", words: `either (${GRAPH.edges.length.toLocaleString("en")})` },
    { value: "both", words: `both (${count("both").toLocaleString("en")})` },
    { value: "first", words: `only A (${count("first").toLocaleString("en")})` },
    { value: "second", words: `only B (${count("second").toLocaleString("en")})` },
  ];
  fill(
    byId("size"),
    el(
      "fieldset",
      { class: "row" },
      el("legend", {}, "Edges in"),
      choices.map(({ value, words }) =>
        el("label", {}, el("input", { type: "radio", name: "which", value, checked: view.side === value, onchange: () => change({ side: value }) }), words),
      ),
    ),
  );
  fill(byId("curve"), measured(found));
}

/** @param {any} found */
function measured(found) {
  const rows = found.measured.map((/** @type {any} */ one) => [
    `of ${one.prompts} (${one.task})`,
    `${(one.metric ?? "").replaceAll("_", " ")}, ${one.ablation}`,
    kept(one.a),
    kept(one.b),
  ]);
  return el(
    "div",
    {},
    el("p", {}, el("strong", {}, "A"), `: ${found.a.title}, ${found.a.summary}`),
    el("p", {}, el("strong", {}, "B"), `: ${found.b.title}, ${found.b.summary}`),
    el("p", {}, `Jaccard index ${found.jaccard.toFixed(2)} of ${counted(GRAPH.edges.length, "edge")} in either`),
    rows.length ? table(["prompts", "metric, ablation", "A keeps", "B keeps"], rows, "What each keeps, on judgement prompts", "stacked") : null,
    found.unmeasured ? el("p", { class: "faint" }, found.unmeasured) : null,
  );
}

/** @param {import("./data.js").Faithfulness} judged */
function kept(judged) {
  const { value, low, high } = judged.normalised;
  return `${percent(value)} (95% CI ${percent(low)} to ${percent(high)}), right on ${percent(judged.accuracy.circuit)}`;
}
