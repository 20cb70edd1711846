// The picture on its canvas: zoom, pan, the box, the fingertips, and drawing or changing the box with the mouse.
const HANDLE = 9; // px on the screen
const SMALLEST = 6; // px of the picture

export class View {
  // size: of the pictures, px. onBox(box): the person has drawn or changed the box. onPress(): stop playing.
  constructor(canvas, size, { onBox, onPress, onZoom }) {
    Object.assign(this, { canvas, size, onBox, onPress, onZoom });
    this.context = canvas.getContext("2d");
    this.zoom = 1;
    this.pan = { x: 0, y: 0 }; // px of the screen
    this.shown = { bitmap: null, box: null, color: "#fff", tips: [], dashed: false };
    this.drag = null;
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => this[kind](event));
    }
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(clientWidth * this.ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * this.ratio));
    this.onZoom(this.pictureWidth());
    this.draw();
  }

  // Pixels of the screen that one pixel of the picture takes.
  get scale() {
    const { clientWidth, clientHeight } = this.canvas;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height) * this.zoom || 1;
  }

  get origin() {
    const { clientWidth, clientHeight } = this.canvas;
    return {
      x: (clientWidth - this.size.width * this.scale) / 2 + this.pan.x,
      y: (clientHeight - this.size.height * this.scale) / 2 + this.pan.y,
    };
  }

  // The width worth fetching: what the screen shows, in steps, at most the picture's own.
  pictureWidth() {
    return Math.min(this.size.width, Math.ceil((this.size.width * this.scale * this.ratio) / 160) * 160);
  }

  toPicture(event) {
    const frame = this.canvas.getBoundingClientRect(), { x, y } = this.origin;
    return { x: (event.clientX - frame.left - x) / this.scale, y: (event.clientY - frame.top - y) / this.scale };
  }

  show(shown) {
    this.shown = shown;
    this.draw();
  }

  whole() {
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
    this.onZoom(this.pictureWidth());
    this.draw();
  }

  draw() {
    const { context, ratio, size, scale } = this, { x, y } = this.origin, { bitmap, tips } = this.shown;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    context.imageSmoothingEnabled = scale < 3;
    if (bitmap) context.drawImage(bitmap, 0, 0, size.width, size.height);
    const box = this.drag?.box ?? this.shown.box;
    if (box) this.drawBox(box);
    for (const [u, v] of tips) this.drawTip(u + 0.5, v + 0.5, box);
  }

  drawBox([x, y, w, h]) {
    const { context, scale } = this;
    context.setLineDash([]);
    context.strokeStyle = "rgb(0 0 0 / .55)";
    context.lineWidth = 4 / scale;
    context.strokeRect(x, y, w, h);
    if (this.shown.dashed && !this.drag) context.setLineDash([7 / scale, 5 / scale]);
    context.strokeStyle = this.shown.color;
    context.lineWidth = 2 / scale;
    context.strokeRect(x, y, w, h);
    context.setLineDash([]);
    context.fillStyle = this.shown.color;
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

  // What the pointer is on: a corner (0-3), "inside", or null.
  hit({ x, y }) {
    const box = this.shown.box;
    if (!box) return null;
    const near = HANDLE / this.scale;
    const corner = corners(box).findIndex(([u, v]) => Math.abs(u - x) < near && Math.abs(v - y) < near);
    if (corner >= 0) return corner;
    return x > box[0] && y > box[1] && x < box[0] + box[2] && y < box[1] + box[3] ? "inside" : null;
  }

  pointerdown(event) {
    this.canvas.focus();
    this.onPress();
    this.canvas.setPointerCapture(event.pointerId);
    const at = this.toPicture(event);
    if (event.button !== 0) {
      this.drag = { kind: "pan", from: { x: event.clientX - this.pan.x, y: event.clientY - this.pan.y } };
      return;
    }
    const on = event.ctrlKey || event.altKey ? null : this.hit(at), box = this.shown.box;
    if (on === "inside") this.drag = { kind: "move", at, start: box, box: null };
    else if (on !== null) {
      const opposite = corners(box)[(on + 2) % 4];
      this.drag = { kind: "draw", from: { x: opposite[0], y: opposite[1] }, square: box[2] === box[3], box: null };
    } else this.drag = { kind: "draw", from: at, square: true, box: null };
  }

  pointermove(event) {
    const at = this.toPicture(event);
    if (!this.drag) {
      const on = this.hit(at);
      this.canvas.style.cursor = on === "inside" ? "move" : on === null ? "crosshair" : on % 2 ? "nesw-resize" : "nwse-resize";
      return;
    }
    const { kind, from } = this.drag;
    if (kind === "pan") this.pan = { x: event.clientX - from.x, y: event.clientY - from.y };
    if (kind === "move") {
      const { start } = this.drag;
      this.drag.box = [start[0] + at.x - this.drag.at.x, start[1] + at.y - this.drag.at.y, start[2], start[3]];
    }
    if (kind === "draw") this.drag.box = spanned(from, at, this.drag.square && !event.shiftKey);
    this.draw();
  }

  pointerup() {
    const box = this.drag?.box;
    this.drag = null;
    if (box && box[2] >= SMALLEST && box[3] >= SMALLEST) this.onBox(box.map((side) => Math.round(side)));
    else this.draw();
  }

  pointercancel() {
    this.drag = null;
    this.draw();
  }

  wheel(event) {
    event.preventDefault();
    const before = this.toPicture(event);
    this.zoom = Math.min(16, Math.max(0.5, this.zoom * Math.exp(-event.deltaY / 500)));
    const after = this.toPicture(event);
    this.pan.x += (after.x - before.x) * this.scale;
    this.pan.y += (after.y - before.y) * this.scale;
    this.onZoom(this.pictureWidth());
    this.draw();
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
