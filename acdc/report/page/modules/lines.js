// Many edges at once: plain lines on a canvas of their own below the boxes, the strongest of thousands at once.

import { byId } from "./dom.js";
import { colours } from "./strokes.js";

/**
 * @typedef {{line: import("./layout.js").Line, stroke: import("./strokes.js").Stroke, edge: number, number: number}} Drawn
 */

/** @type {Drawn[]} */
let lines = [];
/** @type {Set<number> | null} */
let bright = null;
/** @type {number | undefined} */
let emphasised;

/** Draw these from now on, and none of them where there are none. @param {Drawn[]} these */
export function setLines(these) {
  lines = these;
  bright = null;
}

/** Draw only these lines as they are and all others faintly; null: all as they are. @param {Set<number> | null} numbers */
export function brighten(numbers) {
  bright = numbers;
}

/** Draw this edge, by number, above all others. @param {number | undefined} edge */
export function emphasise(edge) {
  emphasised = edge;
}

/**
 * The edge whose line is nearest to a point, where one is within reach; of equally near ones the strongest.
 * @param {import("./layout.js").Point} at @param {number} reach @returns {number | undefined}
 */
export function nearest(at, reach) {
  let [least, found] = [reach, /** @type {number | undefined} */ (undefined)];
  for (const { line, edge } of lines) {
    const away = distance(at, line);
    if (away < least) [least, found] = [away, edge];
  }
  return found;
}

/** @param {import("./layout.js").Point} at @param {import("./layout.js").Line} line */
function distance(at, { from, to }) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const along = ((at.x - from.x) * dx + (at.y - from.y) * dy) / (dx * dx + dy * dy || 1);
  const part = Math.max(0, Math.min(1, along));
  return Math.hypot(at.x - from.x - part * dx, at.y - from.y - part * dy);
}

/** How many lines are drawn at once; the others follow, frame by frame, so that thousands keep nobody waiting. */
const AT_ONCE = 600;
let frame = 0;

/** Draw them where the boxes are, the strongest at once. @param {{x: number, y: number}} pan @param {number} zoom */
export function paintLines(pan, zoom) {
  cancelAnimationFrame(frame);
  const canvas = /** @type {HTMLCanvasElement} */ (byId("lines"));
  const sharp = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(canvas.clientWidth * sharp), Math.round(canvas.clientHeight * sharp)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, wide, high);
  context.setTransform(sharp * zoom, 0, 0, sharp * zoom, sharp * pan.x, sharp * pan.y);
  paintFrom(0);

  /** @param {number} from */
  function paintFrom(from) {
    const until = from + AT_ONCE;
    paintOn(/** @type {CanvasRenderingContext2D} */ (context), zoom, from, until);
    canvas.dataset.drawn = String(Math.min(until, lines.length));
    if (until < lines.length) frame = requestAnimationFrame(() => paintFrom(until));
  }
}

/**
 * Draw the lines from one on until another, each below what is there already: the strongest come first.
 * @param {CanvasRenderingContext2D} context @param {number} zoom
 */
export function paintOn(context, zoom, from = 0, until = lines.length) {
  const plain = lines.length > 2000; // so many dashes can be told from nothing, and take long
  const faint = plain ? 0.35 : 0.6;
  context.globalCompositeOperation = "destination-over";
  for (const shown of from === 0 ? lines.filter(({ edge }) => edge === emphasised) : []) {
    context.globalAlpha = 1;
    context.strokeStyle = colours().focus;
    context.lineWidth = Math.max(shown.stroke.width, 3 / zoom);
    paintLine(context, shown.line, []);
  }
  for (const { line, stroke, number } of lines.slice(from, until)) {
    context.globalAlpha = bright === null ? faint : bright.has(number) ? 0.9 : 0.05;
    context.strokeStyle = stroke.color;
    context.lineWidth = Math.max(stroke.width, 0.6 / zoom);
    paintLine(context, line, plain ? [] : { solid: [], dashed: [7, 5], dotted: [2, 4] }[stroke.style]);
  }
  context.globalAlpha = 1;
  context.globalCompositeOperation = "source-over";
}

/** @param {CanvasRenderingContext2D} context @param {import("./layout.js").Line} line @param {number[]} dashes */
function paintLine(context, { from, to }, dashes) {
  context.setLineDash(dashes);
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y);
  context.stroke();
}

/** A picture of boxes with the lines below them. @param {ImageBitmap} boxes @param {{x1: number, y1: number}} corner @param {number} scale */
export function underlaid(boxes, corner, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [boxes.width, boxes.height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(scale, 0, 0, scale, -corner.x1 * scale, -corner.y1 * scale);
  paintOn(context, scale);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.setLineDash([]);
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = colours().ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-over";
  context.drawImage(boxes, 0, 0);
  return canvas;
}
