// The keyboard: arrows go from node to node, and a letter does what a tool does.

import { byId, say } from "./dom.js";
import { cy, fit, placed, point, toggle } from "./graph.js";
import { describe, groupSelected, ungroupSelected } from "./panel.js";
import { change, view } from "./state.js";
import { GRAPH } from "./data.js";

const KEYS = [
  ["arrows", "from node to node"],
  ["Enter", "pin"],
  ["Space", "select"],
  ["G / U", "group / ungroup"],
  ["[ ]", "smaller / larger"],
  ["F + −", "fit, zoom"],
  ["/", "search"],
  ["Esc", "unpin all"],
];

/** @type {string} */
let focused = "";

/** Listen to the keyboard, and say which keys there are. */
export function beginKeys() {
  byId("graph-keys").textContent = KEYS.map(([key, does]) => `${key}: ${does}`).join(" · ");
  byId("graph").addEventListener("keydown", onGraph);
  byId("graph").addEventListener("blur", () => focus(""));
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    anywhere(event);
  });
}

/** @param {KeyboardEvent} event */
function anywhere(event) {
  /** @type {Record<string, () => void>} */
  const does = {
    g: () => groupSelected() || say("Select nodes first: Shift and drag, or Space on each"),
    u: ungroupSelected,
    x: ungroupSelected,
    f: fit,
    "0": fit,
    "+": () => zoom(1.25),
    "=": () => zoom(1.25),
    "-": () => zoom(0.8),
    "[": () => step(-1),
    "]": () => step(1),
    "/": () => byId("search").focus(),
    Escape: () => change({ pins: [], shown: "", search: "", repair: -1 }),
  };
  const action = does[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** @param {KeyboardEvent} event */
function onGraph(event) {
  const towards = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (towards) focus(next(towards[0], towards[1]));
  else if (event.key === "Enter" && focused) toggle(focused);
  else if (event.key === " " && focused) {
    const node = cy.$id(focused);
    if (node.selected()) node.unselect();
    else node.select();
    say(`${focused} ${node.selected() ? "selected" : "not selected"}`);
  } else return;
  event.preventDefault();
}

/** @param {string} name */
function focus(name) {
  cy.nodes(".focus").removeClass("focus");
  focused = name;
  point(name);
  if (!name) return;
  const node = cy.$id(name);
  node.addClass("focus");
  const [at, extent] = [node.position(), cy.extent()];
  if (at.x < extent.x1 || at.x > extent.x2 || at.y < extent.y1 || at.y > extent.y2) cy.center(node);
  say(describe(name));
}

/** The nearest box that way: in its row, or in the next row. @param {number} dx @param {number} dy */
function next(dx, dy) {
  const boxes = [...placed.boxes.values()];
  const here = boxes.find((box) => box.id === focused);
  if (!here) return boxes[0]?.id ?? "";
  const there = boxes.filter((box) => {
    const [x, y] = [box.at.x - here.at.x, box.at.y - here.at.y];
    return dx ? Math.abs(y) < 1 && x * dx > 0 : y * dy > 1;
  });
  const far = (/** @type {import("./layout.js").Box} */ box) => Math.abs(box.at.x - here.at.x) + 100 * Math.abs(box.at.y - here.at.y);
  return there.sort((one, other) => far(one) - far(other))[0]?.id ?? focused;
}

/** @param {number} by */
export function zoom(by) {
  cy.zoom({ level: cy.zoom() * by, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
}

/** Go to the next smaller or larger circuit. @param {number} by */
export function step(by) {
  change({ size: Math.min(GRAPH.sizes.length - 1, Math.max(0, view.size + by)) });
}
