// What a person does to hands and points, as edits for the server. `page` gives the frame in view and the choice in it.
const NUDGE_MS = 250; // moves by key within this time are one edit
const SIDES = ["left", "right", "unknown"];
const LABELLED = ["visible", "occluded", "outside", "absent"];

export class Verbs {
  // page: { index(), hands(), hand(), choice, edit(op, values), show(), size(), linked, notice(words), accepted(frame), count }
  constructor(page) {
    this.page = page;
    this.nudged = null; // { frame, hand, k, place }, moves by key that are not yet sent
    this.timer = 0;
  }

  send(op, values = {}) {
    this.flush();
    return this.page.edit(op, { frame: this.page.index(), ...values });
  }

  // The chosen hand and its chosen point; says so if there is none.
  chosen() {
    const hand = this.page.hand();
    if (!hand) this.page.notice("No hand here. A, or a box drawn on the picture, begins one.");
    return hand && { hand: hand.number, k: this.page.choice.k, point: hand.points[this.page.choice.k], side: hand.side };
  }

  nudge(du, dv) {
    const on = this.chosen();
    if (!on) return;
    const place = this.placeOf(on.hand, on.point) ?? this.middle();
    this.nudged = { frame: this.page.index(), hand: on.hand, k: on.k, place: [place[0] + du, place[1] + dv] };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), NUDGE_MS);
    this.page.show();
  }

  middle() {
    const { width, height } = this.page.size();
    return [Math.round(width / 2), Math.round(height / 2)];
  }

  // Where a point is, moves that are not yet sent counted.
  placeOf(hand, point) {
    const { nudged } = this;
    const mine = nudged && nudged.frame === this.page.index() && nudged.hand === hand && nudged.k === point.k;
    return mine ? nudged.place : point.place;
  }

  flush() {
    if (!this.nudged) return;
    clearTimeout(this.timer);
    const { frame, hand, k, place } = this.nudged;
    this.page.keep(frame, hand, k, place);
    this.nudged = null;
    this.page.edit("place", { frame, hand, points: { [k]: place } });
  }

  // Leave the point as it was.
  cancel() {
    clearTimeout(this.timer);
    this.nudged = null;
    this.page.show();
  }

  place(hand, k, place) {
    this.page.keep(this.page.index(), hand, k, place);
    return this.send("place", { hand, points: { [k]: place } });
  }

  state(state) {
    const on = this.chosen();
    if (on && LABELLED.includes(state)) this.send("state", { hand: on.hand, points: [on.k], state });
  }

  // Which end of the bone that leads to the point is nearer: 1 its start, -1 the point itself; once more: nobody knows.
  nearer(end) {
    const on = this.chosen();
    if (!on) return;
    if (!on.k) return this.page.notice("No bone leads to the wrist: choose another point.");
    const told = on.point.end === end ? 0 : end;
    this.send("nearer", { hand: on.hand, point: on.k, end: { 1: "start", "-1": "end", 0: "unknown" }[told] });
  }

  side() {
    const on = this.chosen();
    if (on) this.send("side", { hand: on.hand, side: SIDES[(SIDES.indexOf(on.side) + 1) % SIDES.length] });
  }

  // One more hand: in a box, or a square in the middle of the picture.
  async begin(box) {
    const [x, y] = this.middle(), half = Math.round(Math.min(x, y) / 2);
    const number = await this.send("begin", { box: box ?? [x - half, y - half, x + half, y + half] });
    if (typeof number === "number") this.page.choice.number = number;
    this.page.show();
  }

  gone() {
    const on = this.chosen();
    if (on) this.send("gone", { hand: on.hand });
  }

  giveBack(whole) {
    const on = this.chosen();
    if (on) this.send("clear", { hand: on.hand, ...(whole ? {} : { points: [on.k] }) });
  }

  copy(alone) {
    const source = this.page.index() - 1;
    if (source < 0) return this.page.notice("No frame before this one.");
    const hands = this.page.hands(source), hand = this.page.choice.hand(hands);
    if (!hand) return this.page.notice("No hand on the frame before.");
    return this.send("copy", { hand: hand.number, source, ...(alone ? { points: [this.page.choice.k] } : {}) });
  }

  interpolate(alone) {
    const on = this.chosen();
    if (on) this.send("interpolate", { hand: on.hand, ...(alone ? { points: [on.k] } : {}) });
  }

  // Accept the frame in view; `many`: all up to the next one that is accepted. Returns { done, asked }; done: how many
  // were accepted, nothing where it was refused.
  async accept(many) {
    const first = this.page.index();
    let last = first;
    while (many && last + 1 < this.page.count && !this.page.accepted(last + 1)) last++;
    const asked = last - first + (this.page.accepted(first) ? 0 : 1);
    return { done: await this.send("accept", { first, last }), asked };
  }

  review() {
    const first = this.page.index();
    this.send(this.page.accepted(first) ? "release" : "accept", { first, last: first });
  }
}
