// What the page was made with, and what follows from it: the edges of every size, and what each is called.

/**
 * @typedef {{value: number, low: number, high: number}} Interval
 * @typedef {{full: number, circuit: number, none: number}} Levels
 * @typedef {{normalised: Interval, metric: Levels, kl: Levels, accuracy: Levels, kl_tail: Record<string, number>,
 *   size: {edges: number, of_edges: number, nodes: number, heads: number}}} Faithfulness
 * @typedef {[string, [number, number][]]} Row  a label, and boxes by number with their place across
 * @typedef {{edges: number, joins: number[], leaves: number[], found: boolean, faithfulness: Faithfulness | null,
 *   rows: Row[], columns?: [string, number][], ends?: Record<number, number[]>}} Size  columns are spans; ends are those
 *   of edges that end in several boxes, or in others than in other sizes
 * @typedef {"first" | "second" | "both"} Side
 * @typedef {{n_edges: number, nodes: [string, string, number, string?][],
 *   edges: [number, number, string | null, number | null, number?][], spans?: (string | null)[], sizes: Size[],
 *   opens: number,
 *   sides?: Side[], scores?: [number | null, number | null][]}} GraphData
 * @typedef {{clean: string, corrupt: string, answers: string[], model: string, circuit: string, model_right: boolean,
 *   circuit_right: boolean, kl: number, metric: Levels}} PromptOutcome
 * @typedef {{edge: string, without: Faithfulness}} Removal
 * @typedef {{clean: string[], corrupt: string[] | null}} ExampleTokens
 * @typedef {{prompts: ExampleTokens[], heads: Record<string, [string, string | null][]>,
 *   promotes: Record<string, [string, number][][]>}} Examples  patterns as digits, a row of them for each query
 * @typedef {{role: string, evidence?: Record<string, unknown>, percentile?: number | null}} Role
 * @typedef {{schema: string, title: string, about: string, summary: [string, string][],
 *   warnings: string[], graph: GraphData, score: {meaning: string, kind: string | null}, roles: Record<string, Role>,
 *   groups: Record<string, string[]>, circuit: any, removals: Removal[], prompts: PromptOutcome[],
 *   examples: Examples | null, attack: any, evaluation: any, claims: any, explanation: any, view: {fragment: string} | null,
 *   stability: any, lacking: {what: string, command: string, why: string}[],
 *   commands: {again: string, report: string}, compared?: any}} Page
 */

/** @type {Page} */
export const DATA = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
export const GRAPH = DATA.graph;
export const SLOTS = ["q", "k", "v"];

/** The boxes of each node, and each box by its own name. @type {Map<string, number[]>} */
export const BOXES = new Map();
GRAPH.nodes.forEach(([name], box) => new Set([name, boxName(box)]).forEach((key) => BOXES.set(key, [...(BOXES.get(key) ?? []), box])));

/** @param {number} edge @returns {string} */
export function edgeName(edge) {
  const [sender, receiver, slot] = GRAPH.edges[edge];
  const span = GRAPH.spans?.[edge];
  return `${nodeName(sender)}->${nodeName(receiver)}${slot ? `<${slot}>` : ""}${span ? `@${span}` : ""}`;
}

/** The name of the node that a box shows. @param {number} box @returns {string} */
export function nodeName(box) {
  return GRAPH.nodes[box][0];
}

/** The name of a box: that of its node, with its span where edges are by position. @param {number} box @returns {string} */
export function boxName(box) {
  const [name, , , span] = GRAPH.nodes[box];
  return span === undefined ? name : `${name}@${span}`;
}

/** The node of a box, by name. @param {string} box */
export function plainName(box) {
  return box.split("@")[0];
}

/**
 * A line of an edge to a box that it ends in; an edge has several where its key or value is read in several columns.
 * @typedef {{edge: number, end: number, number: number}} EdgeLine
 */

/** The lines of these edges in a size. @param {number[]} edges @param {number} size @returns {EdgeLine[]} */
export function linesOf(edges, size) {
  const ends = GRAPH.sizes[size].ends;
  return edges.flatMap((edge) =>
    (ends?.[edge] ?? [GRAPH.edges[edge][1]]).map((end) => ({ edge, end, number: edge + end * GRAPH.edges.length })),
  );
}

/** @type {Map<string, number>} */
export const EDGE_NUMBER = new Map(GRAPH.edges.map((_, index) => [edgeName(index), index]));

/** @type {Map<string, Removal>} */
export const REMOVALS = new Map((DATA.removals || []).map((one) => [one.edge, one]));

/** @type {Map<number, number[]>} */
const MEMBERS = new Map();

/**
 * The edges of a size, the strongest first.
 * @param {number} size @returns {number[]}
 */
export function membersOf(size) {
  const known = MEMBERS.get(size);
  if (known) return known;
  /** @type {Set<number>} */
  const members = new Set();
  for (let index = 0; index <= size; index += 1) {
    GRAPH.sizes[index].leaves.forEach((edge) => members.delete(edge));
    GRAPH.sizes[index].joins.forEach((edge) => members.add(edge));
  }
  const ordered = [...members].sort((one, other) => strength(other) - strength(one) || one - other);
  MEMBERS.set(size, ordered);
  return ordered;
}

/** @param {number} edge */
export function strength(edge) {
  return Math.abs(GRAPH.edges[edge][3] ?? 0);
}

/** What a node does; "" where that is not known, or the evidence shows no role. @param {string} node */
export function roleOf(node) {
  const said = DATA.roles[node]?.role ?? "";
  return said === "unlabelled" ? "" : said;
}

/** What a user calls features, by their ids. @type {Map<string, string>} */
export const NAMES = new Map(
  Object.entries(DATA.circuit?.features ?? {}).flatMap(([place, said]) => Object.entries(said.names ?? {}).map(([number, name]) => /** @type {[string, string]} */ ([`${place}.f${number}`, String(name)]))),
);

/** A text with the name of every feature in it behind its id. @param {string} text */
export function withNames(text) {
  return text.replace(/[a-z_]+\d+[a-z]*\.f\d+/g, (id) => (NAMES.has(id) ? `${id} "${NAMES.get(id)}"` : id));
}

/** Every role that a node of the page has, in alphabetical order. */
export const ROLES = [...new Set(GRAPH.nodes.map((node) => roleOf(node[0])).filter(Boolean))].sort();

/** Whether repeated discoveries said how often edges are found. */
export const HAS_FREQUENCIES = GRAPH.edges.some((edge) => edge[4] !== undefined);
