// The state of the view: one value that is changed in one place, and stands in the address after the #.

import { BOXES, DATA, EDGE_NUMBER, GRAPH, plainName } from "./data.js";

/**
 * @typedef {"none" | "role" | "layer" | "mine"} Grouping
 * @typedef {{size: number, pins: string[], shown: string, search: string, least: number, often: number,
 *   slots: string[], roles: string[], grouping: Grouping, groups: Record<string, string[]>, repair: number,
 *   side: string, theme: string}} View
 */

const EVERY_SLOT = ["q", "k", "v", "-"];

/** @type {View} */
const FRESH = {
  size: GRAPH.opens,
  pins: [],
  shown: "",
  search: "",
  least: 0,
  often: 0,
  slots: EVERY_SLOT,
  roles: [],
  grouping: Object.keys(DATA.groups || {}).length ? "mine" : "none",
  groups: DATA.groups || {},
  repair: -1,
  side: "either",
  theme: "",
};

/** @type {View} */
export let view = { ...FRESH };

/** @type {((before: View) => void)[]} */
const listeners = [];
let writing = 0;

/** @param {(before: View) => void} listener */
export function onChange(listener) {
  listeners.push(listener);
}

/** @param {Partial<View>} change */
export function change(change) {
  const before = view;
  view = { ...view, ...change };
  listeners.forEach((listener) => listener(before));
  window.clearTimeout(writing);
  writing = window.setTimeout(write, 120); // browsers allow only so many a second
}

function write() {
  const fragment = fragmentOf(view);
  if (`#${fragment}` !== location.hash) history.replaceState(null, "", `#${fragment}`);
}

/** The view as text, without what is as it was when the page was first opened. @param {View} of */
export function fragmentOf(of) {
  const said = new URLSearchParams();
  if (of.size !== FRESH.size) said.set("edges", String(GRAPH.sizes[of.size].edges));
  if (of.pins.length) said.set("pins", of.pins.join(","));
  if (of.shown) said.set("shown", of.shown);
  if (of.search) said.set("search", of.search);
  if (of.least) said.set("least", String(of.least));
  if (of.often) said.set("often", String(of.often));
  if (of.slots.length < EVERY_SLOT.length) said.set("slots", of.slots.join(","));
  if (of.roles.length) said.set("roles", JSON.stringify(of.roles));
  if (of.grouping !== FRESH.grouping) said.set("grouping", of.grouping);
  if (JSON.stringify(of.groups) !== JSON.stringify(FRESH.groups)) said.set("groups", JSON.stringify(of.groups));
  if (of.repair >= 0) said.set("repair", String(of.repair));
  if (of.side !== FRESH.side) said.set("side", of.side);
  if (of.theme) said.set("theme", of.theme);
  return said.toString();
}

/** The view that a fragment says; what cannot be understood is left as it is. @param {string} fragment */
export function viewOf(fragment) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  /** @param {string} name @param {number} otherwise */
  const number = (name, otherwise) => (Number.isFinite(Number(said.get(name) ?? NaN)) ? Number(said.get(name)) : otherwise);
  const edges = number("edges", NaN);
  const size = GRAPH.sizes.findIndex((one) => one.edges === edges);
  const shown = said.get("shown") ?? "";
  const grouping = said.get("grouping") ?? "";
  return {
    ...FRESH,
    size: size >= 0 ? size : FRESH.size,
    pins: (said.get("pins") ?? "").split(",").filter((name) => BOXES.has(name)),
    shown: BOXES.has(shown) || EDGE_NUMBER.has(shown) ? shown : "",
    search: said.get("search") ?? "",
    least: Math.min(1, Math.max(0, number("least", 0))),
    often: Math.min(1, Math.max(0, number("often", 0))),
    slots: said.has("slots") ? EVERY_SLOT.filter((slot) => (said.get("slots") ?? "").split(",").includes(slot)) : EVERY_SLOT,
    roles: parsed(said.get("roles"), [], (value) => Array.isArray(value)),
    grouping: ["none", "role", "layer", "mine"].includes(grouping) ? /** @type {Grouping} */ (grouping) : FRESH.grouping,
    groups: groupsOf(parsed(said.get("groups"), FRESH.groups, (value) => typeof value === "object" && value !== null)),
    repair: number("repair", -1),
    side: said.get("side") ?? FRESH.side,
    theme: ["light", "dark"].includes(said.get("theme") ?? "") ? said.get("theme") ?? "" : "",
  };
}

/** Take over the view that the address says, or else the one that was saved. */
export function begin() {
  const said = location.hash.length > 1 ? location.hash : (DATA.view?.fragment ?? "");
  view = viewOf(said);
  window.addEventListener("hashchange", () => {
    if (location.hash !== `#${fragmentOf(view)}`) change(viewOf(location.hash));
  });
}

/** Groups with only names of nodes in them. @param {Record<string, unknown>} said */
function groupsOf(said) {
  return Object.fromEntries(
    Object.entries(said)
      .filter(([, members]) => Array.isArray(members))
      .map(([name, members]) => [name, /** @type {string[]} */ (members).filter((member) => BOXES.has(member) && member === plainName(member))]),
  );
}

/** @param {string | null} text @param {any} otherwise @param {(value: unknown) => boolean} fits */
function parsed(text, otherwise, fits) {
  try {
    const value = JSON.parse(text ?? "");
    return fits(value) ? value : otherwise;
  } catch {
    return otherwise;
  }
}
