// A picture on its canvas: zoom, pan, brightness. What is drawn over it, and what a drag does, is up to who extends it.
const LIGHTS = [1, 1.5, 2.2, 3.3]; // times the picture's brightness
const SMALLEST_ZOOM = 0.5;

export class PictureView {
  // size: of the pictures, px. onPress(): the person has begun to do something. onZoom(width): fetch pictures so wide.
  constructor(canvas, size, { onPress, onZoom, largestZoom = 16 }) {
    Object.assign(this, { canvas, size, onPress, onZoom, largestZoom });
    this.light = 0;
    this.context = canvas.getContext("2d");
    this.zoom = 1;
    this.pan = { x: 0, y: 0 }; // px of the screen
    this.shown = { bitmap: null };
    this.drag = null;
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => this[kind](event));
    }
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  // Begin to follow the size of the page: who extends it calls this when it is ready to draw.
  begin() {
    new ResizeObserver(() => this.resize()).observe(this.canvas);
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

  // Brighter (1) or darker (-1), round and round.
  brighten(by) {
    this.light = (this.light + by + LIGHTS.length) % LIGHTS.length;
    this.draw();
    return LIGHTS[this.light];
  }

  draw() {
    const { context, ratio, size, scale } = this, { x, y } = this.origin, { bitmap } = this.shown;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    context.imageSmoothingEnabled = scale < 3;
    context.filter = this.light ? `brightness(${LIGHTS[this.light]})` : "none";
    if (bitmap) context.drawImage(bitmap, 0, 0, size.width, size.height);
    context.filter = "none";
    this.drawOver();
  }

  // The screen's place that zooming keeps, if no other is given.
  middle() {
    const { left, top, width, height } = this.canvas.getBoundingClientRect(), at = this.center(), { x, y } = this.origin;
    if (!at) return { clientX: left + width / 2, clientY: top + height / 2 };
    return { clientX: left + x + at.x * this.scale, clientY: top + y + at.y * this.scale };
  }

  pointerdown(event) {
    this.canvas.focus();
    this.onPress();
    this.canvas.setPointerCapture(event.pointerId);
    if (event.button === 0) return this.press(event, this.toPicture(event));
    this.drag = { kind: "pan", from: { x: event.clientX - this.pan.x, y: event.clientY - this.pan.y } };
  }

  pointermove(event) {
    const at = this.toPicture(event);
    if (!this.drag) return this.hover(at);
    const { kind, from } = this.drag;
    if (kind === "pan") this.pan = { x: event.clientX - from.x, y: event.clientY - from.y };
    else this.move(event, at);
    this.draw();
  }

  pointerup(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.kind === "pan" || !this.release(event, drag)) this.draw();
  }

  pointercancel() {
    this.drag = null;
    this.draw();
  }

  // Leave everything as it was; false if no drag was under way.
  cancel() {
    const was = Boolean(this.drag);
    this.pointercancel();
    return was;
  }

  wheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 500), event);
  }

  // Zoom about a place on the screen.
  zoomBy(factor, place = this.middle()) {
    const before = this.toPicture(place);
    this.zoom = Math.min(this.largestZoom, Math.max(SMALLEST_ZOOM, this.zoom * factor));
    const after = this.toPicture(place);
    this.pan.x += (after.x - before.x) * this.scale;
    this.pan.y += (after.y - before.y) * this.scale;
    this.onZoom(this.pictureWidth());
    this.draw();
  }
}
