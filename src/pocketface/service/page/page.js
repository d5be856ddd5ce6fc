// The page of `pocketface serve`. It asks only the service that it came from, and puts what comes
// back into the page as text, never as markup.

const find = (selector) => document.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";
const LOWEST = -0.2; // of the drawn scale; similarities below it are drawn there
let about = null;
let token = sessionStorage.getItem("token") ?? "";

/** An element with properties, attributes (`data-`, `aria-`, `role`) and children. */
function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const number = (value, digits) => value.toFixed(digits);
const counted = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** A share in per cent, with as many digits as it deserves. */
function percent(share) {
  let digits = 1;
  while (digits < 6 && Math.min(share, 1 - share) < 10 ** -(digits + 1) && share % 1) digits += 1;
  return `${(100 * share).toFixed(digits)} %`;
}

// ---- asking the service

class Fault extends Error {
  constructor(body) {
    super(body.error);
    this.body = body;
  }
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch {
    throw new Fault({
      error: "The service does not answer.",
      allowed: "",
      mend: "See whether it still runs, and whether the photograph is small enough.",
    });
  }
  if (answer.status === 401) {
    await askToken();
    return ask(path, options);
  }
  const body = await answer.json();
  if (!answer.ok) throw new Fault(body);
  return body;
}

let asking = null;

function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = find("#token");
    dialog.addEventListener("close", () => {
      token = find("#token-text").value.trim();
      find("#token-text").value = "";
      sessionStorage.setItem("token", token);
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

function faultBox(error) {
  const body = error instanceof Fault ? error.body : { error: String(error), allowed: "", mend: "" };
  const lines = [body.error, body.allowed && `Allowed: ${body.allowed}`, body.mend];
  return make("div", { className: "fault", role: "alert" },
    ...lines.filter(Boolean).map((line) => make("p", { textContent: line })));
}

/** Do `work` and put what it gives, or what went wrong, into `place`; a later call wins. */
async function answerInto(place, words, work) {
  const mine = (place.turn = (place.turn ?? 0) + 1);
  place.replaceChildren(make("p", { className: "busy", textContent: words }));
  let found;
  try {
    found = await work();
  } catch (error) {
    found = faultBox(error);
    if (!(error instanceof Fault)) console.error(error);
  }
  if (mine === place.turn) place.replaceChildren(...[found].flat());
  return mine === place.turn;
}

// ---- choosing photographs

/** A place to drop, choose or take photographs; calls `changed` with the list of files. */
class Picker {
  constructor(place, changed) {
    this.place = place;
    this.many = "many" in place.dataset;
    this.changed = changed;
    this.files = [];
    const id = `file-${place.dataset.pick}`;
    this.input = make("input", { type: "file", id, accept: "image/*", multiple: this.many });
    this.shown = make("div", { className: "shown" });
    const camera = make("button", { type: "button", textContent: "Camera" });
    camera.setAttribute("aria-label", `${place.dataset.label}: take it with the camera`);
    this.drop = make("div", { className: "drop empty" },
      this.shown,
      make("p", { className: "faint hint", textContent: "Drop it here, or" }),
      make("div", { className: "buttons" },
        this.input, make("label", { className: "button", for: id,
          textContent: this.many ? "Choose files" : "Choose a file" }),
        camera));
    this.details = make("div", {});
    place.append(make("h2", { textContent: place.dataset.label }), this.drop, this.details);
    this.input.setAttribute("aria-label", `${place.dataset.label}: choose a file`);
    this.input.addEventListener("change", () => {
      this.add([...this.input.files]);
      this.input.value = ""; // the same file may be chosen again
    });
    camera.addEventListener("click", async () => {
      const file = await takePhotograph();
      if (file) this.add([file]);
    });
    this.drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.drop.classList.add("over");
    });
    this.drop.addEventListener("dragleave", () => this.drop.classList.remove("over"));
    this.drop.addEventListener("drop", (event) => {
      event.preventDefault();
      this.drop.classList.remove("over");
      this.add([...event.dataTransfer.files]);
    });
  }

  add(files) {
    if (!files.length) return;
    this.files = this.many ? [...this.files, ...files] : [files[0]];
    this.show();
    this.changed(this.files);
  }

  clear() {
    this.files = [];
    this.show();
  }

  show() {
    for (const address of this.addresses ?? []) URL.revokeObjectURL(address);
    this.addresses = this.files.map((file) => URL.createObjectURL(file));
    this.details.replaceChildren();
    this.drop.classList.toggle("empty", !this.files.length);
    if (this.many) {
      this.shown.replaceChildren(make("ul", { className: "thumbs" }, ...this.files.map((file, i) => {
        const remove = make("button", { type: "button", textContent: "\u00d7" });
        remove.setAttribute("aria-label", `Leave out ${file.name}`);
        remove.addEventListener("click", () => {
          this.files = this.files.filter((other) => other !== file);
          this.show();
        });
        return make("li", {}, make("img", { src: this.addresses[i], alt: file.name }), remove);
      })));
      return;
    }
    this.frame = make("figure", { className: "photo" },
      ...this.files.map((file, i) => make("img", { src: this.addresses[i], alt: file.name })));
    this.shown.replaceChildren(this.frame);
  }

  /** Draw the faces of the service's answer over the photograph; `names` are written beside them. */
  mark(photo, taken, names = []) {
    const { width, height } = photo;
    this.frame.style.aspectRatio = `${width} / ${height}`;
    this.frame.style.width = `min(100%, ${(22 * width) / height}rem)`;
    const size = Math.max(width / 24, 9);
    const marks = photo.faces.map((face, place) => {
      if (!face.box) return "";
      const [left, top, right, bottom] = face.box;
      const group = draw("g", { class: taken === null || place === taken ? "taken" : "other" },
        draw("rect", { x: left, y: top, width: right - left, height: bottom - top,
          rx: (right - left) / 25 }));
      const radius = Math.max((right - left) / 45, width / 400);
      if (taken === null || place === taken) {
        for (const [x, y] of face.landmarks) {
          group.append(draw("circle", { cx: x + 0.5, cy: y + 0.5, r: radius }));
        }
      }
      if (names[place]) {
        group.append(draw("text", { x: left, y: Math.max(top - size / 3, size),
          "font-size": size }, names[place]));
      }
      return group;
    });
    const words = counted(photo.faces.length, "face", "faces");
    const layer = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, ...marks);
    layer.setAttribute("aria-label", `${words} marked`);
    this.frame.querySelector("svg")?.remove();
    this.frame.append(layer);
  }
}

// Dropped beside a place, a photograph would be opened by the browser instead of this page.
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => event.preventDefault());
}

/** Let the camera take a photograph; gives a file, or null. */
async function takePhotograph() {
  const dialog = find("#camera");
  const video = find("#video");
  const fault = find("#camera-fault");
  const take = find("#take");
  fault.hidden = true;
  take.disabled = true;
  dialog.showModal();
  let stream = null;
  let closed = false;
  const ended = new Promise((resolve) => {
    dialog.addEventListener("close", () => { closed = true; resolve(null); }, { once: true });
    find("#camera-close").onclick = () => dialog.close();
    take.onclick = async () => {
      const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => {
        resolve(new File([blob], "camera.jpg", { type: "image/jpeg" }));
        dialog.close();
      }, "image/jpeg", 0.95);
    };
  });
  try {
    if (!navigator.mediaDevices) {
      throw new Error("A browser gives the camera only to pages of this machine, or over HTTPS.");
    }
    const wanted = { facingMode: "user", width: { ideal: 1280 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    if (closed) throw new Error("closed");
    video.srcObject = stream;
    await video.play();
    take.disabled = false;
  } catch (error) {
    fault.textContent = error.name === "NotAllowedError"
      ? "The camera was not allowed. Allow it in the browser, or choose a file."
      : error.name === "NotFoundError" ? "No camera was found. Choose a file." : error.message;
    fault.hidden = false;
  }
  const file = await ended;
  for (const track of stream?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  return file;
}

// ---- what is told of faces

function facts(face, aligned) {
  const quality = face.quality;
  if (!quality) {
    return make("dl", { className: "facts" }, make("dt", { textContent: "Face" }),
      make("dd", { textContent: aligned ? "aligned already" : "" }));
  }
  const rows = [
    ["Eyes", `${number(quality.eyes, 0)} pixels apart`],
    ["Turned", `${number(Math.abs(quality.turn), 0)}\u00b0`],
    ["Sharpness", number(quality.sharpness, 2)],
    ["Brightness", number(quality.brightness, 0)],
    ["Detection", number(face.score, 2)],
  ];
  return make("dl", { className: "facts" }, ...rows.flatMap(([name, value]) =>
    [make("dt", { textContent: name }), make("dd", { textContent: value })]));
}

const faults = (face) => (face.faults.length
  ? make("ul", { className: "faults" }, ...face.faults.map((text) => make("li", { textContent: text })))
  : null);

const crop = (face, alt) => make("img", { src: face.crop, alt, width: 112, height: 112 });

const placeOf = (similarity) =>
  100 * Math.min(Math.max((similarity - LOWEST) / (1 - LOWEST), 0), 1);

/** The similarity on its scale, with the threshold and the other known operating points. */
function scale(similarity, threshold) {
  const at = (node, value, side = "left") => { node.style[side] = `${placeOf(value)}%`; return node; };
  const track = make("div", { className: "track" });
  const box = make("div", { className: threshold ? "scale" : "scale undecided", role: "img" }, track);
  let words = `Similarity ${number(similarity, 3)} on a scale to 1.`;
  if (threshold) {
    const edge = threshold.similarity;
    track.append(at(make("div", { className: "above" }), edge));
    for (const point of about.operating_points) {
      if (point.similarity !== edge) box.append(at(make("div", { className: "mark point" }), point.similarity));
    }
    box.append(at(make("div", { className: "mark" }), edge),
      at(make("div", { className: "word", textContent: `threshold ${number(edge, 3)}` }), edge));
    words += ` The threshold is ${number(edge, 3)}.`;
  }
  box.append(at(make("div", { className: "here", textContent: number(similarity, 3) }), similarity),
    make("div", { className: "end", textContent: "nothing alike" }),
    make("div", { className: "end last", textContent: "the same picture" }));
  box.setAttribute("aria-label", words);
  return box;
}

function thresholdWords(threshold) {
  if (!threshold) {
    return "No threshold is known for this network: measure one with pocketface calibrate, or give one with --threshold.";
  }
  if (threshold.far === null) return "The threshold was given by hand; how often two people pass it is not known.";
  return `At this threshold ${percent(threshold.far)} of two people's pairs pass, and `
    + `${percent(threshold.tar)} of one person's (measured on ${threshold.measured_on}, `
    + `${counted(threshold.impostor_pairs, "pair", "pairs")} of two people).`;
}

function galleryWords(gallery) {
  const size = `${counted(gallery.people, "person", "people")}, ${counted(gallery.templates, "template", "templates")}`;
  const rate = gallery.false_positive_rate;
  if (!rate || !gallery.people) return `${size}.`;
  const share = rate.least === rate.most ? percent(rate.most) : `${percent(rate.least)} to ${percent(rate.most)}`;
  return `${size}. About ${share} of strangers would be taken for one of them.`;
}

// ---- compare

const VERDICTS = {
  "same person": ["right", "Same person"],
  "different people": ["wrong", "Different people"],
  undecided: ["", "Not decided"],
  "too poor": ["poor", "Too poor to tell"],
};

function compare() {
  const files = [pickers.first, pickers.second].map((picker) => picker.files[0]);
  if (!files[0] || !files[1]) return;
  answerInto(find("#compare-answer"), "Comparing", async () => {
    const form = new FormData();
    form.append("first", files[0]);
    form.append("second", files[1]);
    const answer = await ask("/verify?crops=true", { method: "POST", body: form });
    for (const side of ["first", "second"]) {
      const photo = answer[side];
      const face = photo.faces[photo.taken];
      if (pickers[side].files[0] !== files[side === "first" ? 0 : 1]) continue;
      pickers[side].mark(photo, photo.taken);
      pickers[side].details.replaceChildren(make("div", { className: "face" },
        crop(face, `Aligned face of the ${side} photograph`), facts(face, photo.aligned), faults(face)),
      make("p", { className: "faint", textContent: photo.faces.length > 1
        ? `${photo.faces.length + photo.more_faces} faces; taken: ${photo.why_taken}.` : "" }));
    }
    const [kind, title] = VERDICTS[answer.verdict];
    return make("div", { className: `verdict ${kind}` },
      make("h2", { textContent: title }),
      scale(answer.similarity, answer.threshold),
      answer.probability === null ? null : make("p", {
        textContent: `Probability of one person, at even odds: ${percent(answer.probability)}.` }),
      make("p", { textContent: thresholdWords(answer.threshold) }));
  });
}

// ---- identify

function whoWords(face) {
  if (face.verdict === "known") return ["right-word", face.person];
  if (face.verdict === "too poor") return ["poor-word", "Too poor to tell"];
  return ["", face.verdict === "unknown" ? "Unknown" : "Not decided"];
}

function near(face, threshold) {
  if (!face.candidates.length) return null;
  return make("ul", { className: "near" }, ...face.candidates.map(({ person, similarity }) => {
    const fill = make("i");
    fill.style.width = `${placeOf(similarity)}%`;
    const meter = make("div", { className: "meter", "aria-hidden": "true" }, fill);
    if (threshold) {
      const edge = make("em");
      edge.style.left = `${placeOf(threshold.similarity)}%`;
      meter.append(edge);
      meter.classList.toggle("passes", similarity >= threshold.similarity);
    }
    return make("li", {}, make("span", { textContent: person, title: person }), meter,
      make("b", { textContent: number(similarity, 3) }));
  }));
}

function identify([file]) {
  if (!file) return;
  answerInto(find("#identify-answer"), "Looking", async () => {
    const form = new FormData();
    form.append("photo", file);
    const answer = await ask("/identify?crops=true&candidates=3", { method: "POST", body: form });
    const shown = answer.faces.map((face, place) =>
      (answer.faces.length > 1 ? `${place + 1} ` : "") + (face.person ?? ""));
    if (pickers.photo.files[0] === file) pickers.photo.mark(answer, null, shown);
    if (!answer.faces.length) {
      return make("div", { className: "verdict poor" }, make("h2", { textContent: "No face found" }),
        make("p", { textContent: "Take a photograph with a face of 20 pixels or more, not on its side." }));
    }
    const rows = answer.faces.map((face, place) => {
      const [kind, words] = whoWords(face);
      const title = answer.faces.length > 1 ? `Face ${place + 1}` : "Face";
      return make("li", {}, make("div", { className: "face" }, crop(face, `${title}, aligned`),
        make("div", {}, make("p", { className: `who ${kind}` },
          answer.faces.length > 1 ? make("span", { className: "place", textContent: `${place + 1} ` }) : null,
          words),
          near(face, answer.threshold)), faults(face)));
    });
    return [make("ul", { className: "seen" }, ...rows),
      make("p", { className: "faint", textContent: galleryWords(answer.gallery) }),
      make("p", { className: "faint", textContent: thresholdWords(answer.threshold) })];
  });
}

// ---- enrol

find("#enrol-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = find("#enrol-answer");
  const name = find("#name").value.trim();
  const files = pickers.photos.files;
  if (!name || !files.length) {
    const missing = !name ? "Give a name." : "Give at least one photograph.";
    place.replaceChildren(faultBox(new Fault({ error: missing, allowed: "", mend: "" })));
    (name ? pickers.photos.input : find("#name")).focus();
    return;
  }
  const button = find("#enrol-form button[type=submit]");
  button.disabled = true;
  await answerInto(place, "Enrolling", async () => {
    const form = new FormData();
    form.append("name", name);
    form.append("largest", String(find("#largest").checked));
    for (const file of files) form.append("photos", file);
    const answer = await ask("/enroll?crops=true", { method: "POST", body: form });
    pickers.photos.clear();
    find("#name").value = "";
    await refreshPeople();
    const known = answer.known ? `, ${counted(answer.known, "was", "were")} there before` : "";
    const crops = answer.photos.map((photo) => make("li", {}, crop(photo.faces[photo.taken], photo.name)));
    const box = [make("div", { className: "verdict right" },
      make("h2", { textContent: answer.person }),
      make("p", { textContent: `${counted(answer.added, "photograph", "photographs")} enrolled${known}.` }),
      make("ul", { className: "thumbs" }, ...crops))];
    if (answer.resembles.length) {
      const who = answer.resembles.map((each) => `${each.person} (${number(each.similarity, 3)})`);
      box.push(make("div", { className: "warning" }, make("p", {
        textContent: `Resembles ${who.join(", ")} as one person does. Is it somebody enrolled twice?` })));
    }
    return box;
  });
  button.disabled = false;
});

// ---- people

let people = [];
// A list that has not changed is left as it is: a click on it while it is asked for again is not lost.
let listed = "";

async function refreshPeople() {
  if (!about.gallery) return;
  const answer = await ask("/people?count=10000");
  people = answer.people;
  find("#count").textContent = answer.total.toLocaleString("en");
  find("#count").hidden = false;
  find("#filter-field").hidden = answer.total < 8;
  find("#people-about").textContent = answer.total === 0
    ? "Nobody is enrolled yet."
    : counted(answer.total, "person is enrolled.", "people are enrolled.")
      + (answer.total > people.length ? ` The first ${people.length} are shown.` : "");
  listPeople();
}

function listPeople() {
  const wanted = find("#filter").value.trim().toLowerCase();
  const rows = people.filter(({ name }) => name.toLowerCase().includes(wanted)).slice(0, 500);
  const text = JSON.stringify(rows);
  if (text === listed) return;
  listed = text;
  find("#people-list").replaceChildren(...rows.map(({ name, templates }) => {
    const button = make("button", { type: "button", textContent: "Remove" });
    button.setAttribute("aria-label", `Remove ${name}`);
    button.addEventListener("click", () => remove(name, templates));
    return make("li", {}, make("span", { className: "who", textContent: name }),
      make("span", { className: "faint", textContent: counted(templates, "template", "templates") }), button);
  }));
}

function remove(name, templates) {
  const dialog = find("#removal");
  find("#removal-words").textContent =
    `${name}, with ${counted(templates, "template", "templates")}. This cannot be undone.`;
  dialog.returnValue = "keep";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "remove") return;
    answerInto(find("#people-answer"), "Removing", async () => {
      await ask(`/people/${encodeURIComponent(name)}`, { method: "DELETE" });
      await refreshPeople();
      return make("p", { textContent: `${name} was removed.` });
    });
  }, { once: true });
  dialog.showModal();
}

find("#filter").addEventListener("input", listPeople);

// ---- the whole

const pickers = {};
const changes = { first: compare, second: compare, photo: identify, photos: () => {} };
for (const place of document.querySelectorAll("[data-pick]")) {
  const name = place.dataset.pick;
  pickers[name] = new Picker(place, changes[name]);
}

function showSection() {
  const names = [...document.querySelectorAll("main > section")].map((section) => section.id);
  const asked = location.hash.slice(1);
  const chosen = names.includes(asked) ? asked : "compare";
  for (const name of names) {
    find(`#${name}`).hidden = name !== chosen;
    const link = find(`nav a[href="#${name}"]`);
    if (name === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${find(`#${chosen}-title`).textContent} \u00b7 PocketFace`;
  scrollTo(0, 0);
  if (chosen === "people" && about) refreshPeople().catch(showFault);
}

const showFault = (error) => find("#people-answer").replaceChildren(faultBox(error));

async function begin() {
  about = await ask("/about");
  const limit = about.threshold ? `, threshold ${number(about.threshold.similarity, 3)}` : ", no threshold";
  find("#model").textContent = `${about.model}${limit}`;
  find("#kept").textContent = about.keeps_crops
    ? "The gallery keeps the aligned face of each, by its owner's choice."
    : "The gallery keeps numbers that stand for the face, and no picture.";
  if (!about.gallery) {
    for (const name of ["identify", "enrol", "people"]) {
      const section = find(`#${name}`);
      section.replaceChildren(section.querySelector("h1"), make("p", { className: "lead",
        textContent: "The service has no gallery. Start it with: pocketface serve --gallery FILE" }));
    }
  }
  await refreshPeople();
  document.documentElement.dataset.ready = "yes";
}

addEventListener("hashchange", showSection);
showSection();
begin().catch((error) => find("#main").prepend(faultBox(error)));
