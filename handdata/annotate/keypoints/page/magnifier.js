// What lies under the finger or the pointer, enlarged, in the corner that is farther away.
const SIDE = 150, MARGIN = 12; // px of the screen
const TIMES = 5; // larger than the picture is shown

// context: of a canvas in px of the screen; view: the picture's view; at: place in the picture, px from its corner.
export function drawMagnifier(context, view, at) {
  const { bitmap } = view.shown, { clientWidth, clientHeight } = view.canvas, side = Math.min(SIDE, clientWidth / 3);
  if (!bitmap) return;
  const onScreen = { x: view.origin.x + at.x * view.scale, y: view.origin.y + at.y * view.scale };
  const left = onScreen.x < side + 4 * MARGIN && onScreen.y > clientHeight / 2 ? clientWidth - side - MARGIN : MARGIN;
  const top = clientHeight - side - MARGIN;
  const half = side / 2 / (view.scale * TIMES), ratio = bitmap.width / view.size.width;
  context.save();
  context.beginPath();
  context.roundRect(left, top, side, side, 10);
  context.fillStyle = "#111";
  context.fill();
  context.clip();
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, (at.x - half) * ratio, (at.y - half) * ratio, 2 * half * ratio, 2 * half * ratio, left, top, side, side);
  const x = left + side / 2, y = top + side / 2;
  for (const [color, wide] of [["rgb(0 0 0 / .7)", 3], ["#fff", 1]]) {
    context.strokeStyle = color;
    context.lineWidth = wide;
    context.beginPath();
    for (const [a, b] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) {
      context.moveTo(x + a * 5, y + b * 5);
      context.lineTo(x + a * 22, y + b * 22);
    }
    context.stroke();
  }
  context.restore();
  context.strokeStyle = "rgb(255 255 255 / .85)";
  context.lineWidth = 1.5;
  context.beginPath();
  context.roundRect(left, top, side, side, 10);
  context.stroke();
}
