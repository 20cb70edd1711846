// The hand in 3D that was fitted to the points, beside the picture; a drag turns it.
export class Spatial {
  constructor(canvas, facts) {
    Object.assign(this, { canvas, facts, yaw: 0.6, pitch: -0.25, xyz: null });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      this.yaw += event.movementX / 90;
      this.pitch += event.movementY / 90;
      this.draw();
    });
  }

  // xyz: 21 points in the camera's axes, about the middle knuckle, in palm lengths; null hides it.
  show(xyz) {
    this.xyz = xyz;
    this.canvas.hidden = !xyz;
    this.canvas.dataset.points = xyz ? xyz.length : 0;
    if (xyz) this.draw();
  }

  turned([x, y, z]) {
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    const across = cy * x + sy * z, deep = -sy * x + cy * z;
    return [across, cp * y - sp * deep, sp * y + cp * deep];
  }

  draw() {
    const { canvas, context, facts } = this, ratio = window.devicePixelRatio || 1, side = canvas.clientWidth;
    if (!this.xyz || !side) return;
    canvas.width = canvas.height = Math.round(side * ratio);
    const points = this.xyz.map((point) => this.turned(point)), reach = Math.max(0.5, ...points.flatMap(([x, y]) => [Math.abs(x), Math.abs(y)])), zoom = (0.42 * side) / reach;
    context.setTransform(ratio, 0, 0, ratio, (side / 2) * ratio, (side / 2) * ratio);
    context.clearRect(-side, -side, 2 * side, 2 * side);
    const bones = facts.bones.map(([a, b]) => ({ a, b, deep: points[a][2] + points[b][2] })).sort((one, two) => two.deep - one.deep);
    context.lineCap = "round";
    for (const { a, b } of bones) {
      for (const [color, wide] of [["rgb(0 0 0 / .35)", 5], [`rgb(${facts.colors[b].join(" ")})`, 3]]) {
        Object.assign(context, { strokeStyle: color, lineWidth: wide });
        context.beginPath();
        context.moveTo(points[a][0] * zoom, points[a][1] * zoom);
        context.lineTo(points[b][0] * zoom, points[b][1] * zoom);
        context.stroke();
      }
    }
  }
}
