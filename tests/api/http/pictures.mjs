// Small pictures, drawn here: a shape of a colour on white, as SVG.
const shapes = {
  circle: '<circle cx="100" cy="100" r="70"/>',
  square: '<rect x="35" y="35" width="130" height="130"/>',
  triangle: '<path d="M100 25 L175 165 L25 165 Z"/>',
};
export const picture = (shape, colour) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"><rect width="200" height="200" fill="white"/><g fill="${colour}">${shapes[shape]}</g></svg>`;
export const base64 = (text) => Buffer.from(text).toString('base64');
export const all = ['red', 'green', 'blue', 'gold'].flatMap((colour) => Object.keys(shapes).map((shape) => ({
  name: `${colour}-${shape}.svg`, caption: `a ${colour} ${shape}`, colour, shape, data: picture(shape, colour)})));
