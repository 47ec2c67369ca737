// Many edges at once: plain lines on a canvas of their own below the boxes, thousands of them in a few milliseconds.

import { byId } from "./dom.js";
import { colours } from "./strokes.js";

/**
 * @typedef {{line: import("./layout.js").Line, stroke: import("./strokes.js").Stroke, edge: number}} Drawn
 */

/** @type {Drawn[]} */
let lines = [];
/** @type {Set<number> | null} */
let bright = null;

/** Draw these from now on, and none of them where there are none. @param {Drawn[]} these */
export function setLines(these) {
  lines = these;
  bright = null;
}

/** Draw only these edges as they are and all others faintly; null: all as they are. @param {Set<number> | null} edges */
export function brighten(edges) {
  bright = edges;
}

/** Draw them where the boxes are. @param {{x: number, y: number}} pan @param {number} zoom */
export function paintLines(pan, zoom) {
  const canvas = /** @type {HTMLCanvasElement} */ (byId("lines"));
  const sharp = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(canvas.clientWidth * sharp), Math.round(canvas.clientHeight * sharp)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  if (!context) return;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, wide, high);
  context.setTransform(sharp * zoom, 0, 0, sharp * zoom, sharp * pan.x, sharp * pan.y);
  paintOn(context, zoom);
}

/** @param {CanvasRenderingContext2D} context @param {number} zoom */
export function paintOn(context, zoom) {
  const faint = lines.length > 2000 ? 0.35 : 0.6;
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const { line, stroke, edge } = lines[at]; // the strongest come last, above the others
    context.globalAlpha = bright === null ? faint : bright.has(edge) ? 0.9 : 0.05;
    context.strokeStyle = stroke.color;
    context.lineWidth = Math.max(stroke.width, 0.6 / zoom);
    context.setLineDash({ solid: [], dashed: [7, 5], dotted: [2, 4] }[stroke.style]);
    context.beginPath();
    context.moveTo(line.from.x, line.from.y);
    context.lineTo(line.to.x, line.to.y);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** A picture of boxes with the lines below them. @param {ImageBitmap} boxes @param {{x1: number, y1: number}} corner @param {number} scale */
export function underlaid(boxes, corner, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [boxes.width, boxes.height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = colours().ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.setTransform(scale, 0, 0, scale, -corner.x1 * scale, -corner.y1 * scale);
  paintOn(context, scale);
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.setLineDash([]);
  context.drawImage(boxes, 0, 0);
  return canvas;
}
