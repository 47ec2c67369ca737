// The drawing: cytoscape.js shows what the view says, tells what is pointed at and clicked, and never moves a node.

import { BOXES, EDGE_NUMBER, GRAPH, HAS_FREQUENCIES, NAMES, boxName, edgeName, linesOf, plainName, roleOf } from "./data.js";
import { byId, percent } from "./dom.js";
import { found, groupOf } from "./groups.js";
import { HEAD_HIGH, HEAD_WIDE, PORT_HIGH, PORT_WIDE, layout, line, port } from "./layout.js";
import { brighten, emphasise, nearest, paintLines, setLines } from "./lines.js";
import { filtered, repairing, strongest, through } from "./shown.js";
import { change, view } from "./state.js";
import { colours, stroke } from "./strokes.js";

/** Up to so many, lines are led around boxes. */
const BENT = 160;
/** More lines than these are plain ones, chosen by a click near them. */
export const MANY = 250;
/** So near, in pixels. */
const NEAR = 8;
/** Of more edges than these, q, k and v are drawn only where they are so many pixels high: they take most of the time. */
const [WITH_PORTS, PORT_SEEN] = [2000, 5];

/** @type {any} */
export let cy = null;
/** @type {number[]} */
export let shownEdges = [];
/** @type {import("./data.js").EdgeLine[]} */
export let shownLines = [];
/** @type {import("./layout.js").Layout} */
export let placed = { boxes: new Map(), labels: [] };
let hasPorts = true;
let pointed = "";
let isLit = false;
/** @type {Map<string, string>} */
let made = new Map();

/** Begin drawing into the page. */
export function beginDrawing() {
  cy = cytoscape({
    container: byId("graph"),
    style: styles(),
    autoungrabify: true,
    boxSelectionEnabled: true,
    selectionType: "additive",
    minZoom: 0.05,
    maxZoom: 4,
    textureOnViewport: GRAPH.edges.length > MANY,
  });
  cy.on("render", () => paintLines(cy.pan(), cy.zoom()));
  cy.on("zoom", () => {
    if (shownEdges.length > WITH_PORTS && hasPorts !== seesPorts()) drawAll(seesPorts());
  });
  cy.on("mouseover", "node, edge", (/** @type {any} */ event) => point(event.target.data("of") ?? ""));
  cy.on("mouseout", "node, edge", () => point(""));
  cy.on("tap", "node, edge", (/** @type {any} */ event) => {
    const of = event.target.data("of");
    if (event.originalEvent.shiftKey || !of) return;
    cy.elements().unselect();
    toggle(of);
  });
  cy.on("tap", (/** @type {any} */ event) => {
    if (event.target !== cy) return;
    cy.elements().unselect();
    const edge = nearest(event.position, NEAR / cy.zoom());
    if (edge !== undefined) toggle(edgeName(edge));
  });
}

/** Pin a box or show an edge; take it back where it is already so. @param {string} of */
export function toggle(of) {
  if (EDGE_NUMBER.has(of)) change({ shown: view.shown === of ? "" : of });
  else if (view.pins.includes(of)) change({ pins: view.pins.filter((pin) => pin !== of), shown: "" });
  else change({ pins: [...view.pins, of], shown: of });
}

/** The names of the nodes that are selected. @returns {string[]} */
export function selected() {
  return [...new Set(cy.nodes(".box:selected").map((/** @type {any} */ node) => plainName(node.data("of"))))];
}

/** Light up every path through this node, box or edge, besides the pinned ones. @param {string} of */
export function point(of) {
  if (pointed === of) return;
  pointed = of;
  light();
}

/** Draw what the view says; what stands there already is moved, and made anew only where it looks otherwise. */
export function draw() {
  const zoomedIn = shownEdges.length > WITH_PORTS && seesPorts();
  shownEdges = filtered();
  drawAll(shownEdges.length <= WITH_PORTS || zoomedIn);
}

/** Whether q, k and v are large enough to be seen. */
function seesPorts() {
  return cy.zoom() * PORT_HIGH >= PORT_SEEN;
}

/** @param {boolean} ports */
function drawAll(ports) {
  hasPorts = ports;
  shownLines = linesOf(shownEdges, view.size);
  placed = layout(view.size, shownLines);
  const wanted = new Map([...groupElements(), ...nodeElements(), ...edgeElements()].map((one) => [one.data.id, one]));
  const looking = new Map([...wanted].map(([id, one]) => [id, looks(one)]));
  const stays = (/** @type {any} */ one) => made.get(one.id()) === looking.get(one.id());
  cy.batch(() => {
    cy.elements().filter((/** @type {any} */ one) => !stays(one)).remove();
    cy.elements().forEach((/** @type {any} */ one) => {
      const position = wanted.get(one.id())?.position;
      if (position) one.position(position);
    });
    cy.add([...wanted.values()].filter((one) => cy.$id(one.data.id).empty()));
  });
  made = looking;
  light();
}

/** All that an element is besides its place. @param {any} one */
function looks(one) {
  return `${one.classes}|${JSON.stringify(one.data)}`;
}

/** Show the whole drawing. */
export function fit() {
  cy.resize();
  const points = [...[...placed.boxes.values()].map((box) => box.at), ...placed.labels.map((label) => label.at)];
  if (!points.length) return;
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  const [left, right, top, bottom] = [Math.min(...xs) - 50, Math.max(...xs) + 50, Math.min(...ys) - 30, Math.max(...ys) + 40];
  const zoom = Math.min(1.3, cy.width() / (right - left), cy.height() / (bottom - top));
  const pan = { x: (cy.width() - zoom * (left + right)) / 2, y: (cy.height() - zoom * (top + bottom)) / 2 };
  cy.viewport({ zoom: Math.max(zoom, cy.minZoom()), pan });
}

/** Take over the colours of the page. */
export function recolour() {
  cy.style(styles());
  made.clear();
  draw();
}

function groupElements() {
  const groups = groupOf();
  const names = new Set([...placed.boxes.values()].map((box) => groups.get(box.name)).filter(Boolean));
  return [...names].map((name) => {
    const xs = [...placed.boxes.values()].filter((box) => groups.get(box.name) === name).map((box) => box.at.x);
    const wide = Math.max(...xs) - Math.min(...xs) + HEAD_WIDE + 20; // a longer name would stand over the next group's
    return { group: "nodes", data: { id: `group:${name}`, label: name, wide }, classes: "group", selectable: false };
  });
}

function nodeElements() {
  const groups = groupOf();
  const labels = placed.labels.map(({ text, of, size, at }) => ({
    ...{ group: "nodes", data: { id: `${of}:${text}`, label: text, size }, classes: of, position: { ...at } },
    ...{ selectable: false, events: "no" },
  }));
  const boxes = [...placed.boxes.values()].flatMap((box) => {
    const parent = groups.has(box.name) ? { parent: `group:${groups.get(box.name)}` } : {};
    const whole = NAMES.get(box.name) ?? roleOf(box.name);
    const role = whole.match(/\((.*)\)/)?.[1] ?? whole; // "2 back" of a fixed offset (2 back)
    const label = role && shownLines.length <= BENT ? `${box.name}\n${role.length > 15 ? `${role.slice(0, 14)}…` : role}` : box.name;
    return [
      {
        ...{ group: "nodes", data: { id: box.id, of: box.id, label, ...parent }, position: { ...box.at } },
        ...{ classes: `box ${["head", "input", "logits"].includes(box.kind) ? box.kind : "mlp"}${label === box.name ? "" : " named"}`, selectable: true },
      },
      ...(hasPorts ? box.fed : []).map((slot) => ({
        ...{ group: "nodes", data: { id: `${box.id}<${slot}>`, of: box.id, label: slot, ...parent } },
        ...{ position: port(box, slot), classes: `port ${slot}`, selectable: false },
      })),
    ];
  });
  return [...labels, ...boxes];
}

/** The edges as elements, or where they are many as lines and nothing else. */
function edgeElements() {
  const colour = colours();
  const [most, many] = [strongest(shownEdges), shownLines.length > MANY];
  /** @type {import("./lines.js").Drawn[]} */
  const lines = [];
  /** @type {any[]} */
  const elements = [];
  for (const of of shownLines) {
    const way = line(of, placed, shownLines.length <= BENT);
    const look = stroke(of.edge, most, shownEdges.length, colour);
    if (!way) continue;
    if (many) lines.push({ line: way, stroke: look, edge: of.edge, number: of.number });
    else elements.push(edgeElement(of, look, way.bend));
  }
  setLines(lines);
  return [...elements, ...repairElements(repairing())];
}

/** @param {import("./data.js").EdgeLine} of @param {import("./strokes.js").Stroke} look @param {number} bend */
function edgeElement({ edge, end, number }, look, bend) {
  const [sender, , slot, , often] = GRAPH.edges[edge];
  const [source, name] = [boxName(sender), boxName(end)];
  const told = HAS_FREQUENCIES && often !== undefined && often < 1 && shownEdges.length <= 100 ? percent(often) : "";
  return {
    group: "edges",
    data: { id: `edge:${number}`, of: edgeName(edge), source, target: slot ? `${name}<${slot}>` : name, ...look, bend, often: told },
    classes: bend ? "bent" : "straight",
    selectable: false,
  };
}

/** The edges that repair a prompt, those whose ends are drawn. @param {string[]} repair */
function repairElements(repair) {
  const order = (GRAPH.sizes[view.size].columns ?? []).map(([span]) => span);
  const last = order.at(-1);
  const boxes = [...placed.boxes.values()];
  return repair.flatMap((name) => {
    const [, sender, receiver, slot, span = last] = name.match(/^(.*?)->([^<@]+)(?:<(.)>)?(?:@(.+))?$/) ?? [];
    const from = boxes.find((box) => box.name === sender && box.span === span);
    // a key or value that is missing could be read wherever the head stands from its span on
    const into = boxes.filter((box) => box.name === receiver && (box.span === span || ("kv".includes(slot || "q") && order.indexOf(box.span ?? "") > order.indexOf(span ?? ""))));
    if (!from) return [];
    return into.map((end) => ({
      group: "edges",
      data: { id: `repair:${name}:${end.id}`, source: from.id, target: end.id, often: "", bend: 60 },
      classes: "repair",
      selectable: false,
    }));
  });
}

/** Light up what is pointed at, pinned, shown or searched for; everything else is faint. */
export function light() {
  const sought = found(view.search, placed.boxes.keys()).map(boxName);
  const names = [...view.pins, ...(pointed ? [pointed] : []), ...(view.shown ? [view.shown] : []), ...sought];
  if (!names.length && !isLit) return;
  isLit = names.length > 0;
  const lit = through(names, shownLines);
  cy.batch(() => {
    cy.elements().removeClass("dim pinned shown sought");
    sought.forEach((name) => cy.$id(name).addClass("sought"));
    boxNames(view.pins).forEach((name) => cy.$id(name).addClass("pinned"));
    if (isLit) dim(lit, names);
  });
  brighten(isLit ? lit : null);
  emphasise(EDGE_NUMBER.get(view.shown));
  cy.forceRender();
}

/** The boxes with these names, or of nodes with these names. @param {string[]} names */
function boxNames(names) {
  return names.flatMap((name) => BOXES.get(name) ?? []).map(boxName);
}

/** Make faint what is not among these lines and at none of their ends. @param {Set<number>} lit @param {string[]} names */
function dim(lit, names) {
  const ends = new Set(boxNames(names));
  const litLines = shownLines.filter((line) => lit.has(line.number));
  litLines.forEach(({ edge, end }) => [GRAPH.edges[edge][0], end].forEach((box) => ends.add(boxName(box))));
  cy.nodes(".box, .port").filter((/** @type {any} */ node) => !ends.has(node.data("of"))).addClass("dim");
  cy.edges(".straight, .bent").filter((/** @type {any} */ edge) => !lit.has(Number(edge.id().slice(5)))).addClass("dim");
  if (EDGE_NUMBER.has(view.shown)) cy.edges().filter((/** @type {any} */ edge) => edge.data("of") === view.shown).addClass("shown");
}

function styles() {
  const colour = colours();
  const font = "system-ui, sans-serif";
  const text = {
    ...{ "font-family": font, "font-size": 12, color: colour.ink, label: "data(label)", "text-valign": "center" },
    "min-zoomed-font-size": 4, // in pixels: smaller text cannot be read, and takes as long to draw
  };
  const box = { width: HEAD_WIDE, height: HEAD_HIGH, "border-width": 1, "border-color": colour.line };
  /** @param {string} selector @param {Record<string, any>} style */
  const of = (selector, style) => ({ selector, style });
  return [
    of("core", { "active-bg-opacity": 0, "selection-box-color": colour.focus, "selection-box-opacity": 0.15 }),
    of("node.box", { ...text, ...box, shape: "rectangle", "background-color": colour.box }),
    of("node.named", { "text-wrap": "wrap", "font-size": 8.5, "line-height": 1.05 }),
    of("node.mlp", { shape: "hexagon", "background-color": colour.mlp }),
    of("node.input, node.logits", { "background-color": colour.end, "border-width": 0, color: colour.endText }),
    of("node.port", { ...text, "font-size": 10, shape: "rectangle", width: PORT_WIDE, height: PORT_HIGH }),
    of("node.port", { "border-width": 1, "border-color": colour.line, color: "#22303C" }),
    ...["q", "k", "v"].map((slot) => of(`node.port.${slot}`, { "background-color": colour[/** @type {"q"} */ (slot)] })),
    of("node.row", { ...text, "font-size": 11, color: colour.faint, "background-opacity": 0, width: 1, height: 1 }),
    of("node.column", { ...text, "font-size": "data(size)", "background-opacity": 0, width: 1, height: 1 }),
    of("node.group", { ...text, shape: "round-rectangle", "text-valign": "top", "font-weight": "bold", padding: 12, "compound-sizing-wrt-labels": "exclude" }),
    of("node.group", { "text-wrap": "ellipsis", "text-max-width": "data(wide)" }),
    of("node.group", { "background-color": colour.group, "background-opacity": 0.35, "border-color": colour.line, "border-width": 1 }),
    of("edge", { width: "data(width)", "line-color": "data(color)", "line-style": "data(style)", "font-family": font }),
    of("edge.straight, edge.bent", {
      ...{ "target-arrow-shape": "triangle", "target-arrow-color": "data(color)", "arrow-scale": 0.7 },
      ...{ "source-endpoint": "0 -50%", "target-endpoint": "0 50%", "curve-style": "straight", label: "data(often)" },
      ...{ "font-size": 9, color: colour.ink, "text-background-color": colour.ground, "text-background-opacity": 0.9 },
    }),
    of("edge.bent", { "curve-style": "unbundled-bezier", "edge-distances": "endpoints" }),
    of("edge.bent", { "control-point-distances": "data(bend)", "control-point-weights": 0.5 }),
    of("edge.repair", {
      ...{ width: 3, "line-color": colour.repair, "line-style": "dashed", "target-arrow-shape": "diamond" },
      ...{ "target-arrow-color": colour.repair, "curve-style": "unbundled-bezier", "control-point-distances": 50 },
      ...{ "control-point-weights": 0.5, "z-index": 20 },
    }),
    of("edge.dim", { opacity: 0.1 }),
    of("node.dim", { opacity: 0.25 }),
    of("node.pinned", { "border-width": 3, "border-color": colour.focus }),
    of("node.sought", { "border-width": 3, "border-style": "double", "border-color": colour.focus }),
    of("node.box:selected", { "border-width": 3, "border-style": "dashed", "border-color": colour.focus }),
    of("node.focus", { "outline-width": 3, "outline-offset": 3, "outline-color": colour.focus }),
    of("edge.shown", { "z-index": 10, "underlay-color": colour.focus, "underlay-opacity": 0.35, "underlay-padding": 5 }),
  ];
}

