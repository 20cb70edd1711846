// The hands on the picture: bones in the colours of their fingers, points by state, source and doubt; dragging them.
import { drawMagnifier } from "/magnifier.js";
import { PictureView } from "/picture_view.js";

const NEAR = 16; // px of the screen: so close to a point is on it
const SMALLEST = 12; // px of the picture, of a box for one more hand
const DOUBTFUL = 0.5;

export class HandView extends PictureView {
  // facts: keypoints, bones, colours. onPick(number, k); onPlace(number, k, [u, v]); onBox([l, t, r, b]).
  constructor(canvas, size, facts, { onPick, onPlace, onBox, ...rest }) {
    super(canvas, size, { ...rest, largestZoom: 40 });
    Object.assign(this, { facts, onPick, onPlace, onBox });
    this.shown = { bitmap: null, hands: [], number: 0, k: 0 };
    this.begin();
  }

  setSize(size) {
    if (size.width === this.size.width && size.height === this.size.height) return;
    this.size = size;
    this.whole();
  }

  // The place of a point on the picture, px from its corner; the drag under way counts.
  placeOf(hand, point) {
    if (this.drag?.kind === "point" && this.drag.number === hand.number && this.drag.k === point.k) return this.drag.place;
    return point.place && { x: point.place[0] + 0.5, y: point.place[1] + 0.5 };
  }

  chosen() {
    const hand = this.shown.hands.find(({ number }) => number === this.shown.number);
    return hand && this.placeOf(hand, hand.points[this.shown.k]);
  }

  center() { return this.chosen(); }

  drawOver() {
    const { hands, number } = this.shown, { context, ratio } = this;
    for (const hand of [...hands].sort((a, b) => (a.number === number) - (b.number === number))) this.drawHand(hand, hand.number === number);
    if (this.drag?.box) this.drawBox(this.drag.box);
    const at = this.drag?.kind === "point" ? this.drag.place : this.shown.magnified ? this.chosen() : null;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (at) drawMagnifier(context, this, at);
  }

  drawHand(hand, isChosen) {
    const { context, scale, facts } = this, places = hand.points.map((point) => this.placeOf(hand, point));
    context.globalAlpha = isChosen ? 1 : 0.5;
    for (const [a, b] of facts.bones) {
      if (!places[a] || !places[b]) continue;
      const hidden = hand.points[a].state !== "visible" || hand.points[b].state !== "visible";
      context.setLineDash(hidden ? [5 / scale, 4 / scale] : []);
      for (const [color, wide] of [["rgb(0 0 0 / .5)", 4], [`rgb(${facts.colors[b].join(" ")})`, 2]]) {
        Object.assign(context, { strokeStyle: color, lineWidth: wide / scale });
        context.beginPath();
        context.moveTo(places[a].x, places[a].y);
        context.lineTo(places[b].x, places[b].y);
        context.stroke();
      }
    }
    context.setLineDash([]);
    hand.points.forEach((point, k) => places[k] && this.drawPoint(point, places[k], isChosen && k === this.shown.k));
    context.globalAlpha = 1;
  }

  drawPoint(point, { x, y }, isChosen) {
    const { context, scale, facts } = this, px = 1 / scale, color = `rgb(${facts.colors[point.k].join(" ")})`;
    const circle = (radius) => (context.beginPath(), context.arc(x, y, radius * px, 0, 7));
    if (isChosen) {
      circle(11);
      Object.assign(context, { strokeStyle: "#000", lineWidth: 4 * px });
      context.stroke();
      Object.assign(context, { strokeStyle: "#fff", lineWidth: 2 * px });
      context.stroke();
    }
    if (point.doubt >= DOUBTFUL) {
      circle(7.5);
      Object.assign(context, { strokeStyle: getComputedStyle(document.body).getPropertyValue("--doubt"), lineWidth: 2.5 * px });
      context.stroke();
    }
    circle(4.5);
    Object.assign(context, { fillStyle: point.state === "visible" ? color : "#000", strokeStyle: ["person", "copied"].includes(point.source) ? "#fff" : "rgb(0 0 0 / .75)", lineWidth: 1.5 * px });
    context.fill();
    context.stroke();
    if (point.state !== "visible") {
      circle(2.2);
      context.fillStyle = color;
      context.fill();
    }
  }

  drawBox([left, top, right, bottom]) {
    const { context, scale } = this;
    for (const [color, wide] of [["rgb(0 0 0 / .6)", 4], ["#fff", 2]]) {
      Object.assign(context, { strokeStyle: color, lineWidth: wide / scale });
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }

  // The point under a place; the chosen hand's and the chosen point win.
  hit({ x, y }) {
    let best = null, least = NEAR / this.scale;
    for (const hand of this.shown.hands) {
      for (const point of hand.points) {
        const place = this.placeOf(hand, point);
        if (!place) continue;
        const bonus = (hand.number === this.shown.number ? 2 : 0) + (hand.number === this.shown.number && point.k === this.shown.k ? 3 : 0);
        const away = Math.hypot(place.x - x, place.y - y) - bonus / this.scale;
        if (away < least) [best, least] = [{ number: hand.number, k: point.k, place }, away];
      }
    }
    return best;
  }

  press(event, at) {
    const on = event.ctrlKey || event.altKey ? null : this.hit(at);
    this.pressed = { x: event.clientX, y: event.clientY };
    if (on) {
      this.onPick(on.number, on.k);
      this.drag = { kind: "point", ...on, grip: { x: on.place.x - at.x, y: on.place.y - at.y }, moved: false };
    } else this.drag = { kind: "box", from: at, box: null };
    this.draw();
  }

  hover(at) { this.canvas.style.cursor = this.hit(at) ? "grab" : "crosshair"; }

  move(event, at) {
    const { kind, from, grip } = this.drag;
    if (kind === "point" && Math.hypot(event.clientX - this.pressed.x, event.clientY - this.pressed.y) >= 2) {
      Object.assign(this.drag, { moved: true, place: { x: at.x + grip.x, y: at.y + grip.y } });
    }
    if (kind === "box") this.drag.box = [Math.min(from.x, at.x), Math.min(from.y, at.y), Math.max(from.x, at.x), Math.max(from.y, at.y)];
  }

  release(_event, { kind, number, k, place, moved, box }) {
    if (kind === "point" && moved) {
      this.onPlace(number, k, [place.x - 0.5, place.y - 0.5]);
      return true;
    }
    if (kind === "box" && box && box[2] - box[0] >= SMALLEST && box[3] - box[1] >= SMALLEST) {
      this.onBox(box.map((edge) => Math.round(edge)));
      return true;
    }
    return false;
  }
}
