// Compares two aligned faces with `model.onnx`, written by `pocketface export --input uint8`.
//
// With `?first=a.png&second=b.png` the page compares two pictures that lie beside it, at once.

import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
// More threads need headers that a plain file server does not send.
ort.env.wasm.numThreads = 1;

const NETWORK = "model.onnx";
const CARD = "model.json";
const answer = document.querySelector("#answer");

/** The bytes of a file beside the page. */
async function fetchFile(name) {
  const response = await fetch(name);
  if (!response.ok) {
    throw new Error(`${name}: ${response.status} ${response.statusText}`);
  }
  return response.blob();
}

/** The thresholds on the network's card that are for sums over image and mirror, if it has one. */
async function fetchThresholds() {
  try {
    const card = JSON.parse(await (await fetchFile(CARD)).text());
    return card.thresholds.filter((threshold) => threshold.flip);
  } catch {
    return [];
  }
}

/** The network, and the side S of the faces that it takes. */
async function openNetwork() {
  const bytes = await (await fetchFile(NETWORK)).arrayBuffer();
  const session = await ort.InferenceSession.create(bytes);
  const [input] = session.inputMetadata;
  const { type, shape = [] } = input;
  if (type !== "uint8" || shape.length !== 4 || shape[3] !== 3 || session.outputNames.length > 1) {
    throw new Error(
      `${NETWORK} does not take pixels (N, S, S, 3), or gives more than raw embeddings. ` +
        "Write it with: pocketface export --input uint8 --output raw",
    );
  }
  return { session, side: shape[1] };
}

/** The RGB pixels of a picture, S x S, and whether it had that size. */
async function readFace(blob, side) {
  const picture = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  const { width, height } = picture;
  if (width !== height) {
    throw new Error(`A face is square, this is ${width} x ${height}: align and crop it first.`);
  }
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side);
  const pixels = new Uint8Array(side * side * 3);
  for (let i = 0; i < side * side; i += 1) {
    pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  }
  return { pixels, exact: width === side };
}

/** The face seen in a mirror. */
function mirrored(pixels, side) {
  const turned = new Uint8Array(pixels.length);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      const from = (y * side + x) * 3;
      turned.set(pixels.subarray(from, from + 3), (y * side + side - 1 - x) * 3);
    }
  }
  return turned;
}

/** Cosine similarity of two faces, their embeddings summed over image and mirror. */
async function compare({ session, side }, faces) {
  const images = new Uint8Array(4 * side * side * 3);
  faces.forEach((pixels, index) => {
    images.set(pixels, 2 * index * pixels.length);
    images.set(mirrored(pixels, side), (2 * index + 1) * pixels.length);
  });
  const input = new ort.Tensor("uint8", images, [4, side, side, 3]);
  const outputs = await session.run({ [session.inputNames[0]]: input });
  const { data, dims } = outputs[session.outputNames[0]];
  const width = dims[1];
  let product = 0;
  let left = 0;
  let right = 0;
  for (let d = 0; d < width; d += 1) {
    const a = data[d] + data[width + d];
    const b = data[2 * width + d] + data[3 * width + d];
    product += a * b;
    left += a * a;
    right += b * b;
  }
  return product / Math.sqrt(left * right);
}

/** What is said of a similarity. */
function inWords(similarity, thresholds, scaled) {
  const lines = [`Similarity ${similarity.toFixed(4)}`];
  for (const { far, benchmark, similarity: least } of thresholds) {
    const verdict = similarity >= least ? "same person" : "different people";
    lines.push(`At FAR ${far} (${benchmark}, threshold ${least.toFixed(4)}): ${verdict}`);
  }
  if (scaled) {
    lines.push("The browser has scaled a face: the figure is near to what PocketFace finds.");
  }
  return lines.join("\n");
}

async function main() {
  const [network, thresholds] = await Promise.all([openNetwork(), fetchThresholds()]);
  const places = ["first", "second"];
  const faces = {};

  async function take(place, blob) {
    document.querySelector(`#${place}-face`).src = URL.createObjectURL(blob);
    faces[place] = await readFace(blob, network.side);
    const both = places.map((name) => faces[name]);
    if (!both.every(Boolean)) {
      return;
    }
    const pixels = both.map((face) => face.pixels);
    const similarity = await compare(network, pixels);
    answer.textContent = inWords(similarity, thresholds, !both.every((face) => face.exact));
    document.documentElement.dataset.similarity = similarity;
  }

  for (const place of places) {
    document.querySelector(`#${place}`).addEventListener("change", ({ target }) => {
      if (target.files.length) {
        take(place, target.files[0]).catch(complain);
      }
    });
  }
  answer.textContent = `Ready, for faces of ${network.side} x ${network.side}`;
  const asked = new URLSearchParams(location.search);
  for (const place of places.filter((name) => asked.has(name))) {
    await take(place, await fetchFile(asked.get(place)));
  }
}

function complain(error) {
  answer.textContent = `Error: ${error.message}`;
  document.documentElement.dataset.error = error.message;
}

main().catch(complain);
