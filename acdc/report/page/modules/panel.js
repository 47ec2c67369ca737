// The panel beside the graph: what is known of the node or the edge that is shown, or else of the circuit's edges.

import { BOXES, DATA, EDGE_NUMBER, GRAPH, REMOVALS, edgeName, nodeName, plainName, roleOf, withNames } from "./data.js";
import { button, byId, counted, el, fill, keeps, number, percent, signed, table } from "./dom.js";
import { examplesOf } from "./examples.js";
import { point, selected, shownEdges, toggle } from "./graph.js";
import { freeName, group, groupOf, renameGroup, ungroup } from "./groups.js";
import { around, filtered } from "./shown.js";
import { change, view } from "./state.js";

const LISTED = 60;

/** Show what the view says. */
export function showPanel() {
  const edge = EDGE_NUMBER.get(view.shown);
  const [title, body] = edge !== undefined ? ofEdge(edge) : BOXES.has(view.shown) ? ofNode(plainName(view.shown)) : ofCircuit();
  fill(byId("panel-title"), title);
  const back = view.shown ? button("← all edges", () => change({ shown: "" })) : null;
  fill(byId("panel-body"), back, pins(), body);
}

function pins() {
  if (!view.pins.length) return null;
  const listed = view.pins.map((pin) => button(`${pin} ×`, () => toggle(pin), { "aria-label": `Unpin ${pin}`, class: "pin" }));
  return el("p", { class: "row" }, "Pinned:", listed, button("none", () => change({ pins: [] })));
}

/** @param {string} name @returns {[string, Node[]]} */
function ofNode(name) {
  const [[box], of] = [BOXES.get(name) ?? [], { head: "attention head", mlp: "MLP" }];
  const { incoming, outgoing } = around(name, filtered());
  const kind = of[/** @type {"head"} */ (GRAPH.nodes[box][1])] ?? "";
  const its = groupOf().get(name);
  return [
    `${withNames(name)}${kind ? `: ${kind}` : ""}`,
    [
      ...role(name),
      its ? el("p", {}, `In the group “${its}”`) : el("span", {}),
      el("h3", {}, `Reads from ${counted(incoming.length, "edge")}`),
      edgeTable(incoming),
      el("h3", {}, `Feeds ${counted(outgoing.length, "edge")}`),
      edgeTable(outgoing),
      examplesOf(name),
    ],
  ];
}

/** @param {string} name @returns {Node[]} */
function role(name) {
  const said = DATA.roles[name];
  if (!said) return [];
  const rank = typeof said.percentile !== "number" ? "" : ` (percentile ${(100 * said.percentile).toFixed(1)} of the model's heads)`;
  const evidence = Object.entries(said.evidence ?? {});
  const cost = DATA.explanation?.costs?.[name];
  return [
    el("p", {}, el("strong", {}, roleOf(name) || "no role: the evidence shows none"), rank),
    evidence.length
      ? el("dl", { class: "facts" }, evidence.flatMap(([what, value]) => [el("dt", {}, what), el("dd", {}, typeof value === "number" ? number(value) : typeof value === "object" ? JSON.stringify(value) : String(value))]))
      : el("span", {}),
    cost === undefined ? el("span", {}) : el("p", {}, `Ablating it costs the model ${percent(cost)} of the behaviour.`),
  ];
}

/** @param {number} edge @returns {[string, Node[]]} */
function ofEdge(edge) {
  const name = edgeName(edge);
  const [sender, receiver, slot, score, often] = GRAPH.edges[edge];
  const into = { q: "the query", k: "the key", v: "the value" };
  const what = slot ? `${into[/** @type {"q"} */ (slot)]} of ${nodeName(receiver)}` : nodeName(receiver);
  const scores = GRAPH.scores?.[edge];
  return [
    withNames(name),
    [
      el("p", {}, "From ", link(nodeName(sender)), " into ", link(nodeName(receiver)), `: ${nodeName(sender)} is read by ${what}.`),
      scores ? el("p", {}, `Score in A ${signed(scores[0])}, in B ${signed(scores[1])}`) : el("p", {}, el("strong", {}, `Score ${signed(score)}`)),
      el("p", { class: "faint" }, DATA.score.meaning ? `score: ${DATA.score.meaning}` : ""),
      often === undefined ? el("span", {}) : el("p", {}, `Found again by ${percent(often)} of repeated discoveries`),
      removal(name),
    ],
  ];
}

/** What is kept when the edge alone is removed, where that was measured. @param {string} name */
function removal(name) {
  const [removed, whole] = [REMOVALS.get(name), GRAPH.sizes.find((size) => size.found)?.faithfulness];
  if (!removed || !whole) {
    const why = DATA.removals.length ? "only the strongest edges of the circuit that was found were removed" : `measure it: ${DATA.commands.report}`;
    return GRAPH.sides ? el("span", {}) : el("p", { class: "faint" }, `Its removal alone was not measured (${why}).`);
  }
  const lost = whole.normalised.value - removed.without.normalised.value;
  return el(
    "div",
    {},
    el("h3", {}, "Removed alone"),
    el("p", {}, `Without it the circuit of ${counted(whole.size.edges, "edge")} ${keeps(removed.without)}, ${percent(Math.abs(lost))} of the behaviour ${lost < 0 ? "more" : "less"} than with it.`),
    table(
      ["", "with it", "without"],
      [
        ["metric", number(whole.metric.circuit), number(removed.without.metric.circuit)],
        ["KL, nats", number(whole.kl.circuit), number(removed.without.kl.circuit)],
        ["accuracy", percent(whole.accuracy.circuit), percent(removed.without.accuracy.circuit)],
      ],
      "The circuit with and without this edge, on judgement prompts",
    ),
  );
}

/** @returns {[string, Node[]]} */
function ofCircuit() {
  const edges = filtered();
  const about = DATA.score.meaning ? [el("p", { class: "faint" }, `score: ${DATA.score.meaning}`)] : [];
  const whole = edges.length > LISTED ? [el("p", { class: "faint" }, `The first ${LISTED} are listed.`)] : [];
  return [`Strongest of ${counted(edges.length, "edge")}`, [...about, grouping(), edgeTable(edges.slice(0, LISTED)), ...whole]];
}

/** What can be done with the groups. */
function grouping() {
  const [chosen, names] = [selected(), Object.keys(view.groups)];
  if (view.grouping !== "mine" && !chosen.length) return el("span", {});
  return el(
    "div",
    { class: "groups" },
    chosen.length ? el("p", { class: "row" }, `Selected: ${chosen.join(", ")} `, button("Group (G)", groupSelected), button("Ungroup (U)", ungroupSelected)) : null,
    names.map((name) => {
      const field = el("input", { value: name, "aria-label": `Name of the group ${name}` });
      field.addEventListener("change", () => {
        const wanted = /** @type {HTMLInputElement} */ (field).value.trim();
        if (wanted && wanted !== name) renameGroup(name, wanted);
      });
      const members = view.groups[name];
      return el("p", { class: "row" }, field, ` ${members.join(", ")} `, button("Ungroup", () => ungroup(members)));
    }),
  );
}

/** Make a group of what is selected, or else of what is pinned. */
export function groupSelected() {
  const nodes = selected().length ? selected() : view.pins.map(plainName);
  if (!nodes.length) return false;
  const name = freeName();
  change({ shown: "" });
  group(name, nodes);
  const field = document.querySelector(`#panel input[aria-label="Name of the group ${name}"]`);
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
  return true;
}

/** Take what is selected, or else what is pinned, out of its groups. */
export function ungroupSelected() {
  const nodes = selected().length ? selected() : view.pins.map(plainName);
  if (nodes.length) ungroup(nodes);
}

/** @param {string} name */
function link(name) {
  return button(withNames(name), () => toggleShown(name), { class: "link", onmouseenter: () => point(name), onmouseleave: () => point("") });
}

/** @param {string} name */
function toggleShown(name) {
  change({ shown: name });
}

/** @param {number[]} edges */
function edgeTable(edges) {
  if (!edges.length) return el("p", { class: "faint" }, "none");
  const often = edges.some((edge) => GRAPH.edges[edge][4] !== undefined);
  const sides = GRAPH.sides;
  const where = { first: "only A", second: "only B", both: "both" };
  const head = ["edge", ...(sides ? ["in"] : []), "score", ...(often ? ["found again"] : [])];
  const rows = edges.map((edge) => [
    link(edgeName(edge)),
    ...(sides ? [where[sides[edge]]] : []),
    el("span", { class: (GRAPH.edges[edge][3] ?? 0) < 0 ? "minus" : "plus" }, signed(GRAPH.edges[edge][3])),
    ...(often ? [percent(GRAPH.edges[edge][4])] : []),
  ]);
  return table(head, rows, "Edges");
}

/** How many edges there are of how many, in words. */
export function countedEdges() {
  const [all, shown] = [GRAPH.sizes[view.size].edges, shownEdges.length];
  return all === shown ? `${counted(all, "edge")}` : `${shown.toLocaleString("en")} of ${counted(all, "edge")}`;
}

/** @param {string} box */
export function describe(box) {
  const role = roleOf(plainName(box));
  return `${withNames(box)}${role ? `, ${role}` : ""}`;
}
