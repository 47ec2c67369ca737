// Groups of nodes: those of a person's own, and those by role and by layer.

import { GRAPH, boxName, nodeName, roleOf, withNames } from "./data.js";
import { change, view } from "./state.js";

/**
 * The group of each node, by name, in the grouping that is chosen.
 * @returns {Map<string, string>}
 */
export function groupOf() {
  /** @type {Map<string, string>} */
  const found = new Map();
  if (view.grouping === "mine") {
    for (const [name, members] of Object.entries(view.groups)) members.forEach((node) => found.set(node, name));
  } else if (view.grouping !== "none") {
    GRAPH.nodes.forEach(([name, kind, layer]) => {
      const group = view.grouping === "role" ? roleOf(name) : kind === "input" || kind === "logits" ? "" : `layer ${layer}`;
      if (group) found.set(name, group);
    });
  }
  return found;
}

/** Put nodes into a group of this name, out of any other. @param {string} name @param {string[]} nodes */
export function group(name, nodes) {
  const others = without(nodes);
  change({ grouping: "mine", groups: { ...others, [name]: [...new Set([...(others[name] ?? []), ...nodes])] } });
}

/** Take nodes out of their groups. @param {string[]} nodes */
export function ungroup(nodes) {
  change({ grouping: "mine", groups: without(nodes) });
}

/** @param {string} name @param {string} other */
export function renameGroup(name, other) {
  const { [name]: members, ...rest } = view.groups;
  change({ groups: { ...rest, [other]: [...(rest[other] ?? []), ...(members ?? [])] } });
}

/** A name that no group has. */
export function freeName() {
  let number = 1;
  while (view.groups[`group ${number}`]) number += 1;
  return `group ${number}`;
}

/** The groups without these nodes, and without groups that are then empty. @param {string[]} nodes */
function without(nodes) {
  return Object.fromEntries(
    Object.entries(view.groups)
      .map(([name, members]) => /** @type {[string, string[]]} */ ([name, members.filter((node) => !nodes.includes(node))]))
      .filter(([, members]) => members.length),
  );
}

/** Boxes whose name, role or group has these words in it. @param {string} words @param {Iterable<number>} among */
export function found(words, among) {
  const sought = words.trim().toLowerCase();
  if (!sought) return [];
  const groups = groupOf();
  return [...among].filter((box) => {
    const name = nodeName(box);
    return [boxName(box), withNames(name), roleOf(name), groups.get(name) ?? ""].some((text) => text.toLowerCase().includes(sought));
  });
}
