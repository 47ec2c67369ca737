// Files made in the page: the view as SVG or PNG, the circuit with the groups, and the view itself.

import { DATA, GRAPH, edgeName, membersOf } from "./data.js";
import { svg } from "./dom.js";
import { cy, placed, shownEdges, shownLines } from "./graph.js";
import { groupOf } from "./groups.js";
import { HEAD_HIGH, HEAD_WIDE, PORT_HIGH, PORT_WIDE, control, line, port } from "./layout.js";
import { underlaid } from "./lines.js";
import { strongest } from "./shown.js";
import { fragmentOf, view } from "./state.js";
import { colours, stroke } from "./strokes.js";

/** Hand a file to the person. @param {string} name @param {Blob} content */
function download(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The view, to be put into the run's folder. */
export function saveView() {
  const saved = { schema: "acdc.view/1", fragment: fragmentOf(view) };
  download("view.json", new Blob([`${JSON.stringify(saved, null, 1)}\n`], { type: "application/json" }));
}

/**
 * The circuit of the size that is shown, with the groups in it. One of another size than the found one has what was
 * measured of itself, and says which circuit it was cut from, as `acdc cut` does.
 */
export function saveCircuit() {
  const { edges: _e, faithfulness: _f, curve: _c, stability: _s, robust: _r, roles: _o, algorithm = {}, ...record } = DATA.circuit;
  const size = GRAPH.sizes[view.size];
  const edges = membersOf(view.size)
    .map((edge) => ({ edge: edgeName(edge), score: GRAPH.edges[edge][3] }))
    .sort((one, other) => (one.edge < other.edge ? -1 : 1));
  const groups = Object.keys(view.groups).length ? { groups: view.groups } : {};
  const whole = size.found ? DATA.circuit : { ...record, algorithm: cut(algorithm, size.edges), ...(size.faithfulness ? { faithfulness: size.faithfulness } : {}), edges };
  const { groups: _g, ...circuit } = whole;
  download("circuit.json", new Blob([`${JSON.stringify({ ...circuit, ...groups }, null, 1)}\n`], { type: "application/json" }));
}

/** What a record says of the method, for a cut of so many edges. @param {any} algorithm @param {number} count */
function cut(algorithm, count) {
  const same = ["name", "settings", "score", "score_kind", "selection", "steps_taken", "missed"].filter((key) => key in algorithm);
  return {
    ...Object.fromEntries(same.map((key) => [key, algorithm[key]])),
    goal: { kind: "Edges", count },
    cut_from: { goal: algorithm.goal ?? null, edges: DATA.circuit.edges.length },
  };
}

/** What is drawn, as a PNG picture at twice its size. */
export async function savePng() {
  const corner = cy.elements().boundingBox();
  const scale = Math.min(2, 8000 / Math.max(corner.w, corner.h));
  const boxes = await createImageBitmap(cy.png({ full: true, scale, output: "blob" }));
  underlaid(boxes, corner, scale).toBlob((blob) => blob && download("circuit.png", blob), "image/png");
}

/** What is drawn, as an SVG picture with its texts as text. */
export function saveSvg() {
  download("circuit.svg", new Blob([new XMLSerializer().serializeToString(picture())], { type: "image/svg+xml" }));
}

/** What is drawn, as an SVG element. */
export function picture() {
  const colour = colours();
  const [most, around] = [strongest(shownEdges), shownLines.length <= 160];
  const boxes = [...placed.boxes.values()];
  const xs = [...boxes.map((box) => box.at.x), ...placed.labels.map((label) => label.at.x)];
  const ys = [...boxes.map((box) => box.at.y), ...placed.labels.map((label) => label.at.y)];
  const [left, top] = [Math.min(...xs) - 60, Math.min(...ys) - 50];
  const [wide, high] = [Math.max(...xs) + 60 - left, Math.max(...ys) + 50 - top];
  const lines = shownLines.map((of) => {
    const way = line(of, placed, around);
    if (!way) return null;
    const [drawn, middle] = [stroke(of.edge, most, shownEdges.length, colour), control(way)];
    const dashes = { solid: null, dashed: "6 4", dotted: "1.5 3" }[drawn.style];
    const d = `M${way.from.x},${way.from.y}Q${middle.x},${middle.y} ${way.to.x},${way.to.y}`;
    return svg("path", { d, fill: "none", stroke: drawn.color, "stroke-width": drawn.width, "stroke-dasharray": dashes }, svg("title", {}, edgeName(of.edge)));
  });
  const root = svg(
    "svg",
    { viewBox: `${left} ${top} ${wide} ${high}`, width: wide, height: high, "font-family": "system-ui, sans-serif", "font-size": 12 },
    svg("rect", { x: left, y: top, width: wide, height: high, fill: colour.ground }),
    framesOfGroups(colour),
    lines,
    boxes.flatMap((box) => boxParts(box, colour)),
    placed.labels.map(({ text, of, size, at }) => words(text, at, of === "row" ? colour.faint : colour.ink, size)),
  );
  return root;
}

/** @param {import("./strokes.js").Colours} colour */
function framesOfGroups(colour) {
  /** @type {Map<string, import("./layout.js").Box[]>} */
  const members = new Map();
  const groups = groupOf();
  placed.boxes.forEach((box) => {
    const name = groups.get(box.name);
    if (name) members.set(name, [...(members.get(name) ?? []), box]);
  });
  return [...members].flatMap(([name, boxes]) => {
    const [xs, ys] = [boxes.map((box) => box.at.x), boxes.map((box) => box.at.y)];
    const [x, y] = [Math.min(...xs) - 44, Math.min(...ys) - 24];
    const [width, height] = [Math.max(...xs) + 44 - x, Math.max(...ys) + 40 - y];
    const frame = svg("rect", { x, y, width, height, rx: 8, fill: colour.group, "fill-opacity": 0.35, stroke: colour.line });
    return [frame, words(name, { x: x + width / 2, y: y - 8 }, colour.ink, 12)];
  });
}

/** @param {import("./layout.js").Box} box @param {import("./strokes.js").Colours} colour */
function boxParts(box, colour) {
  const end = box.kind === "input" || box.kind === "logits";
  const round = !end && box.kind !== "head";
  const fill = end ? colour.end : round ? colour.mlp : colour.box;
  const [x, y] = [box.at.x - HEAD_WIDE / 2, box.at.y - HEAD_HIGH / 2];
  const rx = round ? HEAD_HIGH / 2 : 0;
  return [
    svg("rect", { x, y, width: HEAD_WIDE, height: HEAD_HIGH, rx, fill, stroke: colour.line }),
    words(box.name, box.at, end ? colour.endText : colour.ink, 12),
    ...box.fed.flatMap((slot) => {
      const at = port(box, slot);
      const place = { x: at.x - PORT_WIDE / 2, y: at.y - PORT_HIGH / 2, width: PORT_WIDE, height: PORT_HIGH };
      return [svg("rect", { ...place, fill: colour[/** @type {"q"} */ (slot)], stroke: colour.line }), words(slot, at, "#22303C", 10)];
    }),
  ];
}

/** @param {string} text @param {import("./layout.js").Point} at @param {string} fill @param {number} size */
function words(text, at, fill, size) {
  return svg("text", { x: at.x, y: at.y + size / 3, "text-anchor": "middle", fill, "font-size": size }, text);
}
