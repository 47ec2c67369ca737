// The page: what stands where, and what is shown anew when the view changes.

import { curve } from "./charts.js";
import { showComparison } from "./compare.js";
import { DATA, GRAPH, HAS_FREQUENCIES, ROLES, nodeName } from "./data.js";
import { button, byId, counted, el, fill, keeps, number, percent, say } from "./dom.js";
import { saveCircuit, savePng, saveSvg, saveView } from "./exports.js";
import { MANY, beginDrawing, cy, draw, fit, light, recolour, shownEdges, shownLines } from "./graph.js";
import { found } from "./groups.js";
import { beginKeys, step, zoom } from "./keys.js";
import { command, showSections } from "./judgement.js";
import { groupSelected, showPanel, ungroupSelected } from "./panel.js";
import { begin, change, onChange, view } from "./state.js";

/** @typedef {import("./state.js").View} View */

function head() {
  document.title = DATA.title;
  byId("title").textContent = DATA.title;
  byId("about").textContent = DATA.about;
  fill(byId("summary"), DATA.summary.flatMap(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]));
  fill(byId("warnings"), DATA.warnings.map((words) => el("p", { class: "warning" }, words)));
  byId("theme").addEventListener("click", () => change({ theme: isDark() ? "light" : "dark" }));
}

function isDark() {
  return view.theme ? view.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function theme() {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
  byId("theme").textContent = isDark() ? "Light" : "Dark";
}

function tools() {
  const search = el("input", { id: "search", type: "search", placeholder: ROLES.length ? "Find a node or role" : "Find a node", "aria-label": "Find nodes", value: view.search });
  search.addEventListener("input", () => change({ search: /** @type {HTMLInputElement} */ (search).value }));
  const grouping = el(
    "select",
    { id: "grouping", "aria-label": "Groups", onchange: (/** @type {any} */ event) => change({ grouping: event.target.value }) },
    [["none", "no groups"], ["layer", "by layer"], ...(ROLES.length ? [["role", "by role"]] : []), ["mine", "my groups"]].map(([value, words]) => el("option", { value }, words)),
  );
  const filters = button("Filter", () => {
    byId("filters").hidden = !byId("filters").hidden;
    filters.setAttribute("aria-expanded", String(!byId("filters").hidden));
    fit();
  }, { "aria-expanded": "false", "aria-controls": "filters" });
  fill(
    byId("tools"),
    search,
    filters,
    grouping,
    button("Group", () => groupSelected() || say("Select nodes first: Shift and drag, or Space on each"), { title: "Group what is selected or pinned (G)" }),
    button("Ungroup", ungroupSelected, { title: "Take what is selected or pinned out of its group (U)" }),
    el("span", { class: "row" }, button("−", () => zoom(0.8), { "aria-label": "Zoom out" }), button("+", () => zoom(1.25), { "aria-label": "Zoom in" }), button("Fit", fit)),
    saving(),
  );
}

function saving() {
  const forms = [["SVG", saveSvg], ["PNG", savePng], ["circuit.json", saveCircuit], ["Save the view (view.json)", saveView]];
  const shown = DATA.compared ? forms.slice(0, 2) : forms;
  const list = el("details", { class: "menu" }, el("summary", {}, "Save"));
  const made = shown.map(([label, save]) =>
    button(/** @type {string} */ (label), () => {
      list.removeAttribute("open");
      /** @type {() => void} */ (save)();
    }),
  );
  list.append(el("div", {}, made));
  return list;
}

function filters() {
  /** @param {string} label @param {"least" | "often"} name @param {string} unit */
  const range = (label, name, unit) => {
    const told = el("output", {}, percent(view[name]));
    const slider = el("input", { type: "range", min: 0, max: 100, value: String(100 * view[name]), "aria-label": label });
    slider.addEventListener("input", () => change({ [name]: Number(/** @type {HTMLInputElement} */ (slider).value) / 100 }));
    return el("label", {}, `${label} `, slider, told, unit);
  };
  /** @param {string} label @param {"slots" | "roles"} name @param {string[]} every @param {Record<string, string>} [words] */
  const choices = (label, name, every, words = {}) =>
    el(
      "fieldset",
      { class: "row" },
      el("legend", {}, label),
      every.map((value) => {
        const box = el("input", { type: "checkbox", checked: view[name].includes(value) });
        box.addEventListener("change", () => {
          const on = /** @type {HTMLInputElement} */ (box).checked;
          change({ [name]: every.filter((one) => (one === value ? on : view[name].includes(one))) });
        });
        return el("label", {}, box, words[value] ?? value);
      }),
    );
  fill(
    byId("filters"),
    range("|score| at least", "least", " of the largest"),
    HAS_FREQUENCIES ? range("found again at least", "often", " of the time") : null,
    choices("Into", "slots", ["q", "k", "v", "-"], { q: "queries", k: "keys", v: "values", "-": "MLPs and logits" }),
    ROLES.length ? choices("Only nodes of these roles", "roles", ROLES) : null,
  );
}

function sizes() {
  if (DATA.compared) return showComparison();
  const size = GRAPH.sizes[view.size];
  const judged = size.faithfulness;
  const words = judged ? `${keeps(judged)}; KL ${number(judged.kl.circuit)} nats; right on ${percent(judged.accuracy.circuit)} (the model on ${percent(judged.accuracy.full)})` : "its faithfulness was not measured";
  const slider = el("input", { id: "slider", type: "range", min: 0, max: GRAPH.sizes.length - 1, value: String(view.size), "aria-label": "Edges of the circuit", "aria-valuetext": counted(size.edges, "edge") });
  slider.addEventListener("input", () => change({ size: Number(/** @type {HTMLInputElement} */ (slider).value) }));
  const one = GRAPH.sizes.length === 1;
  fill(
    byId("size"),
    one ? null : el("div", { class: "row" }, button("−", () => step(-1), { "aria-label": "Smaller" }), slider, button("+", () => step(1), { "aria-label": "Larger" })),
    el("p", { id: "kept" }, el("strong", {}, `${counted(size.edges, "edge")}${size.found ? ", the circuit that was found" : ""}`), `: ${words}`),
  );
  fill(
    byId("curve"),
    one
      ? [el("p", { class: "faint" }, "Only this size was measured. Others, on the same prompts:"), command(DATA.commands.report)]
      : curve(GRAPH.sizes, view.size, (at) => change({ size: at })),
  );
}

/** Move the slider without making it anew, so that whoever holds it goes on holding it. */
function sizesAgain() {
  const before = document.activeElement?.id;
  sizes();
  if (before === "slider") byId("slider").focus();
}

function told() {
  const [size, through] = [GRAPH.sizes[view.size], shownEdges.length];
  const own = GRAPH.sizes.find((one) => one.found);
  const parts = [];
  if (through < size.edges) parts.push(`The filter lets through ${through.toLocaleString("en")} of ${counted(size.edges, "edge")}.`);
  if (own && !size.found && view.size === GRAPH.opens) parts.push(`The circuit that was found has ${counted(own.edges, "edge")}; this is a smaller one of the same search, measured by itself.`);
  if (shownLines.length > MANY) parts.push(GRAPH.spans ? `More than ${MANY} lines are plain: click near one to choose its edge.` : `More than ${MANY} edges are plain lines: click near one to choose it.`);
  if (view.search) parts.push(`Found: ${[...new Set(found(view.search, GRAPH.nodes.keys()).map(nodeName))].join(", ") || "nothing"}.`);
  byId("drawn").textContent = parts.join(" ");
}

function legend() {
  const kind = DATA.score.kind;
  const [up, down] = { effect: ["removing it hurts the behaviour", "removing it helps"], estimate: ["estimate: removing it hurts", "estimate: removing it helps"] }[kind ?? ""] ?? ["positive score", "negative score"];
  const lines = GRAPH.sides ? [["first", "only in A"], ["second", "only in B"], ["both", "in both"]] : [["positive", up], ["negative", down]];
  fill(
    byId("legend"),
    lines.map(([name, words]) => el("span", {}, el("i", { class: `sample ${name}` }), words)),
    [["q", "query"], ["k", "key"], ["v", "value"]].map(([slot, words]) => el("span", {}, el("i", { class: `cell ${slot}` }, slot), words)),
  );
}

/** @param {View} before */
function refresh(before) {
  const drawing = /** @type {(keyof View)[]} */ (["size", "least", "often", "slots", "roles", "grouping", "groups", "repair", "side"]);
  const differs = (/** @type {keyof View} */ name) => before[name] !== view[name];
  if (differs("theme")) {
    theme();
    recolour();
  } else if (drawing.some(differs)) draw();
  else light();
  if (differs("size") || differs("side")) {
    sizesAgain();
    fit();
  }
  if (differs("least") || differs("often")) byId("filters").querySelectorAll("output").forEach((told, at) => (told.textContent = percent(at ? view.often : view.least)));
  /** @type {HTMLSelectElement} */ (byId("grouping")).value = view.grouping;
  const search = /** @type {HTMLInputElement} */ (byId("search"));
  if (search.value !== view.search) search.value = view.search;
  showPanel();
  told();
}

begin();
head();
theme();
tools();
filters();
legend();
sizes();
beginDrawing();
draw();
fit();
showPanel();
told();
showSections();
beginKeys();
/** @type {HTMLSelectElement} */ (byId("grouping")).value = view.grouping;
cy.on("select unselect", () => showPanel());
onChange(refresh);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  theme();
  recolour();
});
new ResizeObserver(() => cy.resize()).observe(byId("graph"));
document.documentElement.dataset.ready = "yes";
