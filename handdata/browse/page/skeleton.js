// Hands as SVG: a skeleton over a picture. Points are null where there is none.
import { makeSvg } from "/dom.js";

export const colorOf = (skeleton, point) => `rgb(${skeleton.colors[point].join(",")})`;

// A group with bones and points; `visible` 0 draws a point hollow; `color` draws all in one colour.
export function drawHand(skeleton, points, { visible = null, color = null, width = 1.5, names = false, dashed = false } = {}) {
  const group = makeSvg("g", { "stroke-linecap": "round" });
  const known = (point) => point && point.every((value) => value !== null);
  for (const [from, to] of skeleton.bones) {
    if (!known(points[from]) || !known(points[to])) continue;
    const [[x1, y1], [x2, y2]] = [points[from], points[to]];
    group.append(makeSvg("line", { x1, y1, x2, y2, stroke: color ?? colorOf(skeleton, to), "stroke-width": width, ...(dashed ? { "stroke-dasharray": `${2 * width} ${1.6 * width}` } : {}) }));
  }
  points.forEach((point, number) => {
    if (!known(point)) return;
    const hue = color ?? colorOf(skeleton, number), hollow = visible?.[number] === 0;
    group.append(makeSvg("circle", { cx: point[0], cy: point[1], r: 1.5 * width, fill: hollow ? "none" : hue, stroke: hollow ? hue : "#000", "stroke-width": 0.4 * width }));
    if (names) {
      const label = makeSvg("text", { x: point[0] + 2.5 * width, y: point[1] + width, "font-size": 4 * width, fill: "#fff", stroke: "#000", "stroke-width": 0.7 * width, "paint-order": "stroke" });
      label.textContent = skeleton.names[number].replace("_", " ");
      group.append(label);
    }
  });
  return group;
}

export function drawBox([left, top, right, bottom], color) {
  if ([left, top, right, bottom].includes(null)) return makeSvg("g");
  return makeSvg("rect", { x: left - 0.5, y: top - 0.5, width: right - left, height: bottom - top, fill: "none", stroke: color, "stroke-width": 0.8 });
}
