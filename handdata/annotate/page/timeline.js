// The strip under the picture: one column per frame. Above who made the box, then doubt, below what is accepted.
const BAND = 12, DOUBT = 26, LINE = 6;
const LARGEST_COLUMN = 60; // px of a frame

export class Timeline {
  constructor(canvas, tip, names, onSeek) {
    Object.assign(this, { canvas, tip, names, onSeek });
    this.context = canvas.getContext("2d");
    this.frames = [];
    this.index = 0;
    this.zoom = 1; // times the width of the strip
    this.first = 0; // frames left of the strip, with a fraction
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), this.placeAt(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.onSeek(this.frameAt(event));
    });
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  resize() {
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * this.ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * this.ratio);
    this.paint();
  }

  get shown() { return this.names.length / this.zoom; } // frames the strip spans

  // Frames from the beginning, with a fraction.
  placeAt(event) {
    const { left, width } = this.canvas.getBoundingClientRect();
    return this.first + ((event.clientX - left) / width) * this.shown;
  }

  frameAt(event) { return Math.min(this.names.length - 1, Math.max(0, Math.floor(this.placeAt(event)))); }

  // Larger columns about a place, the frame in view if none is given.
  zoomBy(factor, place = this.index + 0.5) {
    const share = (place - this.first) / this.shown;
    const most = Math.max(1, (LARGEST_COLUMN * this.names.length) / Math.max(1, this.canvas.clientWidth));
    this.zoom = Math.min(most, Math.max(1, this.zoom * factor));
    this.first = this.bounded(place - share * this.shown);
    this.paint();
  }

  bounded(first) { return Math.min(this.names.length - this.shown, Math.max(0, first)); }

  hover(event) {
    const frame = this.frameAt(event), strip = this.canvas.parentElement.getBoundingClientRect();
    if (event.buttons) this.onSeek(frame);
    this.tip.hidden = false;
    this.tip.textContent = `${frame + 1}: ${this.names[frame]}`;
    const half = this.tip.offsetWidth / 2, at = event.clientX - strip.left;
    this.tip.style.left = `${Math.min(strip.width - half - 4, Math.max(half + 4, at))}px`;
  }

  // frames: [box, source, doubt, accepted, kind, settled, misses] each. Repaints the background at most once a frame.
  update(frames) {
    this.frames = frames;
    if (!this.due) this.due = requestAnimationFrame(() => this.paint());
  }

  // Show the frame in view, and move the strip if it has left it.
  seek(index) {
    this.index = index;
    const inside = index >= this.first && index + 1 <= this.first + this.shown;
    if (inside) return this.compose();
    this.first = this.bounded(index - this.shown / 2);
    this.paint();
  }

  paint() {
    this.due = 0;
    const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(`--${name}`).trim();
    const sheet = new OffscreenCanvas(Math.max(1, this.canvas.width), Math.max(1, this.canvas.height));
    const context = sheet.getContext("2d"), columns = this.canvas.width / this.ratio / Math.max(1, this.shown);
    const edge = (frame) => Math.round((frame - this.first) * columns * this.ratio) / this.ratio; // whole pixels, or seams show
    context.scale(this.ratio, this.ratio);
    context.fillStyle = color("ground");
    context.fillRect(0, 6, this.canvas.width, BAND + DOUBT);
    this.frames.forEach(([box, source, doubt, accepted, kind, settled, misses, disputed], frame) => {
      if (frame + 1 < this.first || frame > this.first + this.shown) return;
      const x = edge(frame), wide = Math.max(edge(frame + 1) - x, 1 / this.ratio);
      context.globalAlpha = settled ? 1 : 0.35;
      context.fillStyle = color(settled || box ? source : "absent");
      context.fillRect(x, 6, wide, BAND);
      context.globalAlpha = 1;
      if (doubt > 0 && box && (!accepted || disputed)) {
        context.fillStyle = color("doubt");
        context.fillRect(x, 6 + BAND + DOUBT * (1 - Math.min(1, doubt)), wide, DOUBT * Math.min(1, doubt));
      }
      if (accepted) {
        context.fillStyle = color(accepted === "watched" ? "watched" : "accepted");
        context.fillRect(x, 6 + BAND + DOUBT + 2, wide, LINE);
      }
      if (misses && box) {
        context.fillStyle = color("miss");
        context.fillRect(x, 6 + BAND, wide, 4);
      }
      if (kind === "person" || kind === "absent") this.drawKey(context, x + wide / 2, color(kind));
    });
    this.sheet = sheet;
    this.compose();
  }

  drawKey(context, x, fill) {
    context.fillStyle = fill;
    context.beginPath();
    context.moveTo(x - 4, 0);
    context.lineTo(x + 4, 0);
    context.lineTo(x, 6);
    context.fill();
  }

  compose() {
    const { context, ratio } = this;
    if (!this.sheet) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.sheet, 0, 0);
    const x = ((this.index + 0.5 - this.first) * this.canvas.width) / Math.max(1, this.shown);
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
    context.fillRect(Math.round(x - ratio), 0, 2 * ratio, this.canvas.height);
  }
}
