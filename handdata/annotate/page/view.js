// The box on the picture and the fingertips: drawing or changing the box with the mouse.
import { PictureView } from "/picture_view.js";

const HANDLE = 9; // px on the screen
const SMALLEST = 6; // px of the picture
const STRAY = 3; // px on the screen: a shorter drag is a click

export class View extends PictureView {
  // onBox(box): the person has drawn or changed the box. onStray(): a drag over a drawn box, which would have replaced it.
  constructor(canvas, size, { onBox, onStray, ...rest }) {
    super(canvas, size, rest);
    Object.assign(this, { onBox, onStray });
    this.shown = { bitmap: null, box: null, color: "#fff", tips: [], dashed: false };
    this.begin();
  }

  drawOver() {
    const box = this.drag?.box ?? this.shown.box;
    if (box) this.drawBox(box);
    for (const [u, v] of this.shown.tips) this.drawTip(u + 0.5, v + 0.5, box);
  }

  drawBox([x, y, w, h]) {
    const { context, scale } = this, color = this.drag?.box ? getComputedStyle(document.body).getPropertyValue("--person") : this.shown.color;
    context.setLineDash([]);
    context.strokeStyle = "rgb(0 0 0 / .55)";
    context.lineWidth = 4 / scale;
    context.strokeRect(x, y, w, h);
    if (this.shown.dashed && !this.drag) context.setLineDash([7 / scale, 5 / scale]);
    context.strokeStyle = color;
    context.lineWidth = 2 / scale;
    context.strokeRect(x, y, w, h);
    context.setLineDash([]);
    context.fillStyle = color;
    const half = 3.5 / scale;
    for (const [u, v] of corners([x, y, w, h])) context.fillRect(u - half, v - half, 2 * half, 2 * half);
  }

  drawTip(u, v, box) {
    const { context, scale } = this;
    const missed = !box || u < box[0] || v < box[1] || u > box[0] + box[2] || v > box[1] + box[3];
    context.beginPath();
    context.arc(u, v, 4 / scale, 0, 7);
    context.fillStyle = missed ? getComputedStyle(document.body).getPropertyValue("--miss") : "#fff";
    context.fill();
    context.lineWidth = 1.5 / scale;
    context.strokeStyle = "#000";
    context.stroke();
  }

  center() {
    const box = this.shown.box;
    return box && { x: box[0] + box[2] / 2, y: box[1] + box[3] / 2 };
  }

  // What the pointer is on: a corner (0-3), "inside", or null.
  hit({ x, y }) {
    const box = this.shown.box;
    if (!box) return null;
    const near = HANDLE / this.scale;
    const corner = corners(box).findIndex(([u, v]) => Math.abs(u - x) < near && Math.abs(v - y) < near);
    if (corner >= 0) return corner;
    return x > box[0] && y > box[1] && x < box[0] + box[2] && y < box[1] + box[3] ? "inside" : null;
  }

  press(event, at) {
    const anew = event.ctrlKey || event.altKey, on = anew ? null : this.hit(at), box = this.shown.box;
    if (on === null && this.shown.drawn && !anew) return void this.onStray();
    this.pressed = { x: event.clientX, y: event.clientY };
    if (on === "inside") this.drag = { kind: "move", at, start: box, box: null };
    else if (on !== null) {
      const opposite = corners(box)[(on + 2) % 4];
      this.drag = { kind: "draw", from: { x: opposite[0], y: opposite[1] }, square: box[2] === box[3], box: null };
    } else this.drag = { kind: "draw", from: at, square: true, box: null };
  }

  hover(at) {
    const on = this.hit(at);
    this.canvas.style.cursor = on === "inside" ? "move" : on === null ? "crosshair" : on % 2 ? "nesw-resize" : "nwse-resize";
  }

  move(event, at) {
    const { kind, from, start } = this.drag;
    if (kind === "move") this.drag.box = [start[0] + at.x - this.drag.at.x, start[1] + at.y - this.drag.at.y, start[2], start[3]];
    if (kind === "draw") this.drag.box = spanned(from, at, this.drag.square && !event.shiftKey);
  }

  release(event, { box }) {
    const { x, y } = this.pressed, meant = Math.hypot(event.clientX - x, event.clientY - y) >= STRAY;
    if (!meant || !box || box[2] < SMALLEST || box[3] < SMALLEST) return false;
    this.onBox(box.map((side) => Math.round(side)));
    return true;
  }
}

function corners([x, y, w, h]) {
  return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]];
}

function spanned(from, to, square) {
  let dx = to.x - from.x, dy = to.y - from.y;
  if (square) {
    const side = Math.max(Math.abs(dx), Math.abs(dy));
    dx = side * (dx < 0 ? -1 : 1);
    dy = side * (dy < 0 ? -1 : 1);
  }
  return [Math.min(from.x, from.x + dx), Math.min(from.y, from.y + dy), Math.abs(dx), Math.abs(dy)];
}
