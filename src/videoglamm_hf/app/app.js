// The page of the app: media and questions of this browser's session, questions through Gradio's queue.
"use strict";

const byId = (id) => document.getElementById(id);
const FORMAT_NAMES = {
  json: "answer.json", html: "web page", mp4: "overlay video (mp4)", "cutout-png": "cut out, PNG with transparency",
  "cutout-webm": "cut out, WebM with transparency", python: "Python", png: "indexed PNG", coco: "COCO",
  cvat: "CVAT for images", "cvat-video": "CVAT for video", ytvos: "YouTube-VOS", "label-studio": "Label Studio",
  labelme: "labelme", "sam2-json": "SAM 2 JSON",
};
let state = null;      // what the server knows of this session
let media = null;      // id of the medium that is shown
let question = null;   // id of the answer that is shown
let running = null;    // {hash, event, index, end} of the work under way; {} until the queue has taken it
let earlier = null;    // the answer before the last correction
let player = null;
let ready = null;      // what is done before the session is known waits for it

// Talking to the server

async function reached(path, options) {
  return fetch(path, { ...options, credentials: "same-origin" }).catch(() => {
    throw new Error("The server cannot be reached. Is it running? Try again, or load the page again.");
  });
}

async function call(method, path, body, headers = {}) {
  const response = await reached(path, { method, body, headers });
  const found = await response.json().catch(() => ({}));
  if (response.status === 401) {
    // A page that was loaded again has a session, unless the browser keeps no cookies.
    if (performance.getEntriesByType("navigation")[0]?.type !== "reload") location.reload();
    throw new Error("This page needs a cookie to know its session. Allow cookies for it, and load it again.");
  }
  if (response.status === 503 && path.startsWith("gradio_api")) {
    throw new Error("Too many questions are waiting at the moment. Try again in a minute.");
  }
  if (!response.ok) throw new Error(typeof found.detail === "string" ? found.detail : `The server said ${response.status}.`);
  return found;
}

function say(text) {
  byId("status").textContent = text;
}

function fail(error) {
  byId("error").hidden = !error;
  byId("error").textContent = error ? error.message ?? String(error) : "";
}

async function attempt(work) {
  fail(null);
  try {
    await ready;
    return await work();
  } catch (error) {
    say("");
    fail(error);
    refresh();
    return undefined;
  }
}

// The lists as they are now: another tab may have asked, or removed something.
async function refresh() {
  if (state === null) return;
  const response = await fetch("state", { credentials: "same-origin" }).catch(() => null);
  if (!response?.ok) return;
  const { media: there, questions } = await response.json();
  Object.assign(state, { media: there, questions });
  history();
}

// One piece of work through the queue; `told` gets what happens, the promise ends with it.
async function work(name, data, told) {
  if (running) throw new Error("Something is being worked on. Wait for it, or cancel it.");
  const hash = crypto.getRandomValues(new Uint32Array(4)).join("-");
  const index = state.functions[name];
  const started = Date.now();
  const own = running = {};
  const ended = () => {
    running = null;
    byId("cancel").hidden = true;
    byId("send").disabled = false;
  };
  byId("cancel").hidden = false;
  byId("send").disabled = true;
  const { event_id: event } = await call("POST", "gradio_api/queue/join", JSON.stringify(
    { data, fn_index: index, session_hash: hash, event_data: null, trigger_id: null }),
  { "Content-Type": "application/json" }).catch((error) => {
    ended();
    throw error;
  });
  return new Promise((resolve, reject) => {
    const stream = new EventSource(`gradio_api/queue/data?session_hash=${hash}`);
    let last = "", failure = null;
    Object.assign(own, { hash, event, index });
    const clock = setInterval(() => own.label && say(`${own.label}, ${Math.round((Date.now() - started) / 1000)} s`), 500);
    const end = (finish, value) => {
      clearInterval(clock);
      stream.close();
      ended();
      finish(value);
    };
    own.end = () => end(resolve, false);
    const take = (value) => {
      // What is new comes as a change of the text before.
      if (typeof value === "string") last = value;
      else for (const [action, , text] of value) last = action === "append" ? last + text : text;
      for (const happened of JSON.parse(last.slice(last.indexOf(" ") + 1))) {
        // Cancelled by what came before it.
        if (running !== own) return;
        if (happened.event === "status") own.label = happened.message;
        else if (happened.event === "error") failure = new Error(happened.message);
        else told(happened);
      }
    };
    stream.onmessage = ({ data: text }) => {
      const message = JSON.parse(text);
      if (message.msg === "estimation" && message.rank !== null) {
        const eta = message.rank_eta ? `, about ${Math.ceil(message.rank_eta)} s` : "";
        own.label = message.rank ? `waiting: number ${message.rank + 1} in the queue${eta}` : "waiting for the model";
      } else if (message.msg === "process_generating" && message.success) take(message.output.data[0]);
      else if (message.msg === "process_completed") {
        if (!message.success) failure ??= new Error(message.output?.error ?? "The server ended this. Try again.");
        if (failure) end(reject, failure);
        else end(resolve, true);
      } else if (message.msg === "unexpected_error") end(reject, new Error(message.message ?? "The server stopped."));
    };
    if (own.cancelled) cancel();
    stream.onerror = () => end(reject, new Error("The connection was lost. Load the page again: what was kept is there."));
  });
}

async function cancel() {
  if (!running) return;
  if (!running.end) {
    // The queue has not taken it yet; then it is taken out at once.
    running.cancelled = true;
    return;
  }
  const { hash, event, index, end } = running;
  end();
  say("cancelled");
  await call("POST", "gradio_api/cancel", JSON.stringify({ session_hash: hash, event_id: event, fn_index: index }),
    { "Content-Type": "application/json" }).catch(() => {});
}

// Media

function idle() {
  if (running) throw new Error("Something is being worked on. Wait for it, or cancel it.");
}

async function upload(file) {
  idle();
  if (file.size > state.limits.upload_bytes) {
    const most = Math.round(state.limits.upload_bytes / 2 ** 20);
    throw new Error(`${file.name} is larger than ${most} MB; make it smaller, or shorter.`);
  }
  say(`uploading ${file.name}`);
  // A lone half of a character has no encoding.
  const name = encodeURIComponent(Array.from(file.name, (letter) => (/^[\ud800-\udfff]$/.test(letter) ? "_" : letter)).join(""));
  const about = await call("POST", "media", file, { "X-Name": name });
  state.media.push(about);
  await open(about.id);
}

function sampling() {
  const given = {};
  for (const name of ["start_time", "end_time", "num_frames"]) {
    if (byId(name).value !== "") given[name] = Number(byId(name).value);
  }
  if (byId("every").checked) given.every = true;
  return given;
}

async function open(id) {
  idle();
  const about = state.media.find((one) => one.id === id);
  say(`decoding ${about.name}`);
  const shown = await call("POST", `frames/${id}`, JSON.stringify(sampling()), { "Content-Type": "application/json" });
  media = id;
  question = null;
  show(shown, null);
  say(`${about.name}: ${about.width}×${about.height}, ${about.kind === "video"
    ? `${about.seconds.toFixed(1)} s, ${shown.frames.length} of ${about.frames} frames` : "a picture"}`);
  history();
}

// Answers

function show(answer, steps) {
  byId("work").hidden = false;
  colored(answer);
  if (player === null) {
    player = new VideoGlammPlayer(byId("player"), answer);
    player.on("choose", tools);
    player.on("recolor", keepColor);
    player.looking = () => question === null || tool() === "look";
    // Beside the frame, where they are used.
    byId("player").querySelector(".vg-controls").after(byId("tool"));
    draw();
  } else player.show(answer);
  byId("compare").checked = false;
  byId("tools").hidden = byId("tool").hidden = question === null;
  if (steps) {
    byId("undo").disabled = steps.back === 0;
    byId("redo").disabled = steps.forward === 0;
  }
  byId("compare").disabled = earlier === null;
  tools();
}

function keptColors() {
  try {
    return JSON.parse(localStorage.getItem("videoglamm colours")) ?? {};
  } catch {
    return {};
  }
}

// Colours that a person chose, kept in this browser by answer and object.
function keepColor(index, color) {
  if (question === null) return;
  const kept = keptColors();
  kept[`${question} ${player.answer.objects[index].number}`] = color;
  const newest = Object.entries(kept).slice(-500);
  try {
    localStorage.setItem("videoglamm colours", JSON.stringify(Object.fromEntries(newest)));
  } catch {
    // No room, or none allowed: the colour lasts as long as the page.
  }
}

function colored(answer) {
  const kept = keptColors();
  for (const object of answer.objects) object.color = kept[`${question} ${object.number}`] ?? object.color;
  return answer;
}

function tools() {
  const chosen = player.chosen !== null && player.answer.objects[player.chosen];
  for (const id of ["absent", "rename", "remove"]) byId(id).disabled = !chosen;
}

// The answer in a format, as the server writes it.
async function written(format) {
  const response = await reached(`export/${question}/${format}`, { method: "GET" });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail ?? `The server said ${response.status}.`);
  return response;
}

async function download() {
  const button = byId("download"), { value, selectedOptions } = byId("format");
  button.disabled = true;
  say(`writing ${selectedOptions[0].text}`);
  try {
    const response = await written(value);
    const link = document.createElement("a");
    link.download = decodeURIComponent(response.headers.get("Content-Disposition").split("''")[1]);
    link.href = URL.createObjectURL(await response.blob());
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say(`${link.download} is among your downloads`);
  } finally {
    button.disabled = false;
  }
}

async function openQuestion(id) {
  const found = await call("GET", `questions/${id}`);
  if (running) return;
  media = found.question.media;
  question = id;
  earlier = null;
  player?.pause();
  show(found.answer, found.steps);
  byId("question").value = found.question.text;
  // What is asked next is asked about the frames that are shown.
  for (const name of ["start_time", "end_time", "num_frames"]) byId(name).value = found.question.sampling[name] ?? "";
  byId("every").checked = Boolean(found.question.sampling.every);
  byId("mode").value = found.question.mode;
  say("");
  history();
}

async function ask(text) {
  const options = { sampling: sampling(), mode: byId("mode").value, max_new_tokens: Number(byId("max_new_tokens").value) };
  const started = performance.now();
  const done = await work("ask", [media, text, options], (happened) => {
    if (happened.event === "frames") {
      // Until now, the answer before is still there to look at.
      question = earlier = null;
      show(happened.answer, null);
    } else if (happened.event === "words") {
      window.videoglammFirstWord ??= performance.now() - started;
      player.speak(happened.text, happened.phrases);
    } else if (happened.event === "masks") {
      window.videoglammFirstMask ??= performance.now() - started;
      if (running) running.label = `following objects: frame ${happened.frame + 1} of ${player.answer.frames.length}`;
      player.fill(happened.frame, happened.masks);
    } else if (happened.event === "answer") {
      question = happened.question.id;
      state.questions.push(happened.question);
      show(happened.answer, happened.steps);
    }
  }).finally(history);
  if (done) say("answered");
}

async function correct(action, step) {
  if (running) return;
  // A copy: while frames are decided again, the masks of the answer that is shown change.
  const before = structuredClone(player.answer);
  const frame = player.frame;
  const chosen = player.chosen;
  const corrected = question;
  const done = await work("correct", [question, action, step ?? {}], (happened) => {
    if (happened.event === "masks") {
      const index = before.objects.findIndex((object) => object.number === happened.number);
      if (running) running.label = `correcting: frame ${happened.frame + 1} of ${before.frames.length}`;
      if (index >= 0) player.fill(happened.frame, happened.masks.map((own) => ({ ...own, index })));
    } else if (happened.event === "answer") {
      earlier = before;
      show(happened.answer, happened.steps);
      player.seek(frame);
      const again = happened.answer.objects.findIndex((object) => object.number === before.objects[chosen]?.number);
      if (again >= 0) player.choose(again);
    }
  }).catch((error) => {
    // What is shown is what is kept, not the half of a correction.
    if (question === corrected) {
      colored(before);
      player.show(before);
      player.seek(frame);
      if (chosen !== null) player.choose(chosen);
      tools();
    }
    throw error;
  });
  if (!done) await openQuestion(question);
  say(done ? "corrected" : "cancelled");
}

// What a person draws

function tool() {
  return document.querySelector("input[name=tool]:checked").value;
}

function said(given) {
  const fresh = byId("fresh").checked || player.chosen === null;
  if (fresh) {
    const name = prompt("What is the new object called?", "new object");
    if (name === null) return;
    byId("fresh").checked = false;
    attempt(() => correct("step", { step: "add", frame: player.frame, label: name, ...given }));
    return;
  }
  const object = player.answer.objects[player.chosen].number;
  attempt(() => correct("step", { step: "correct", corrections: [{ object, frame: player.frame, ...given }] }));
}

function draw() {
  const canvas = player.canvas;
  let start = null, path = [];
  const size = () => Math.max(4, Math.round(player.canvas.width / 25));
  canvas.addEventListener("pointerdown", (event) => {
    if (question === null || running || tool() === "look") return;
    event.preventDefault();
    // Keys are the player's again, not those of the tool that was chosen last.
    document.activeElement?.blur();
    canvas.setPointerCapture(event.pointerId);
    start = player.point(event);
    path = [start];
    player.draft = (context) => {
      const [x, y] = start, [right, bottom] = path.at(-1);
      context.strokeStyle = context.fillStyle = "#fff";
      context.lineWidth = Math.max(2, player.canvas.width / 300);
      if (tool() === "box") context.strokeRect(Math.min(x, right), Math.min(y, bottom), Math.abs(right - x), Math.abs(bottom - y));
      else if (tool() === "brush") for (const [u, v] of path) context.fillRect(u - size() / 2, v - size() / 2, size(), size());
    };
    player.draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (start === null) return;
    path.push(...between(path.at(-1), player.point(event), size() / 3));
    player.draw();
  });
  const drop = () => {
    if (start === null) return false;
    start = null;
    player.draft = null;
    player.draw();
    return true;
  };
  canvas.addEventListener("pointercancel", drop);
  document.addEventListener("keydown", (event) => {
    // What is being drawn is dropped; only then is Escape about the work.
    if (event.key === "Escape" && drop()) event.stopImmediatePropagation();
  }, true);
  canvas.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [x, y] = start, [right, bottom] = player.point(event);
    path.push(...between(path.at(-1), [right, bottom], size() / 3));
    const kind = tool();
    start = null;
    player.draft = null;
    player.draw();
    if (kind === "plus" || kind === "minus") {
      // A new object cannot begin with where it is not.
      if (kind === "minus" && player.chosen === null) return fail(new Error("Choose the object that is not here."));
      said({ points: [[x, y]], labels: [kind === "plus" ? 1 : 0] });
    } else if (kind === "box" && Math.abs(right - x) > 1 && Math.abs(bottom - y) > 1) {
      said({ box: [Math.min(x, right), Math.min(y, bottom), Math.max(x, right), Math.max(y, bottom)] });
    } else if (kind === "brush") said({ mask: painted(path, size()) });
  });
}

// Points from one place to another, no further apart than a step: a quick hand leaves no gaps.
function between([x, y], [right, bottom], step) {
  const count = Math.max(1, Math.ceil(Math.hypot(right - x, bottom - y) / step));
  return Array.from({ length: count }, (_, number) => [
    Math.round(x + ((right - x) * (number + 1)) / count),
    Math.round(y + ((bottom - y) * (number + 1)) / count),
  ]);
}

// A brushed mask as COCO run lengths, with what the object has in this frame already.
function painted(path, size) {
  const { width, height } = player.answer;
  const object = byId("fresh").checked ? null : player.answer.objects[player.chosen ?? -1];
  const own = object?.masks[player.frame];
  const inside = own ? VideoGlammPlayer.decode(own) : new Uint8Array(width * height);
  for (const [u, v] of path) {
    for (let x = Math.max(0, u - (size >> 1)); x < Math.min(width, u + (size >> 1)); x += 1) {
      inside.fill(1, x * height + Math.max(0, v - (size >> 1)), x * height + Math.min(height, v + (size >> 1)));
    }
  }
  const counts = [];
  let value = 0, run = 0;
  for (const pixel of inside) {
    if (pixel !== value) {
      counts.push(run);
      [value, run] = [pixel, 0];
    }
    run += 1;
  }
  counts.push(run);
  return { size: [height, width], counts };
}

// The list on the left

function history() {
  const items = state.media.map((one) => {
    const item = document.createElement("li");
    item.append(entry(one.name, one.id === media && question === null, () => open(one.id), () => forget("media", one)));
    const list = document.createElement("ul");
    for (const asked of state.questions.filter((own) => own.media === one.id)) {
      const line = document.createElement("li");
      line.append(entry(asked.text, asked.id === question, () => openQuestion(asked.id), () => forget("questions", asked)));
      list.append(line);
    }
    if (list.children.length) item.append(list);
    return item;
  });
  byId("history").replaceChildren(...items);
}

function entry(text, current, opened, removed) {
  const line = document.createElement("div");
  line.className = "entry";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-current", String(current));
  button.addEventListener("click", () => !running && attempt(opened));
  const bin = document.createElement("button");
  bin.type = "button";
  bin.textContent = "×";
  bin.setAttribute("aria-label", `remove ${text}`);
  bin.addEventListener("click", () => !running && attempt(removed));
  line.append(button, bin);
  return line;
}

async function forget(kind, one) {
  const answers = kind === "media" ? state.questions.filter((other) => other.media === one.id).length : 1;
  const lost = kind === "media" ? ` and ${answers === 1 ? "its answer" : `its ${answers} answers`}` : "";
  if (answers && !confirm(`Remove ${one.name ?? one.text}${lost} for good?`)) return;
  await call("DELETE", `${kind}/${one.id}`);
  state[kind] = state[kind].filter((other) => other.id !== one.id);
  if (kind === "media") state.questions = state.questions.filter((other) => other.media !== one.id);
  if (one.id === media || one.id === question || !state.questions.some((other) => other.id === question)) {
    byId("work").hidden = byId("tools").hidden = true;
    if (kind === "media" && one.id === media) media = null;
    question = null;
  }
  history();
}

// Start

function listen() {
  byId("file").addEventListener("change", () => {
    const [file] = byId("file").files;
    if (file) attempt(() => upload(file)).then(() => { byId("file").value = ""; });
  });
  const drop = byId("drop");
  // Anywhere on the page: beside the frame, the browser would leave the page and show the file.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    const folder = event.dataTransfer.items[0]?.webkitGetAsEntry?.()?.isDirectory;
    attempt(() => {
      if (!file || folder) throw new Error("That is no file; drop one video or picture.");
      return upload(file);
    });
  });
  byId("address").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      say("fetching it");
      const about = await call("POST", "url", JSON.stringify({ url: byId("url").value }), { "Content-Type": "application/json" });
      state.media.push(about);
      await open(about.id);
    });
  });
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!running) attempt(() => ask(byId("question").value || byId("question").placeholder));
  });
  byId("tool").addEventListener("change", () => byId("player").classList.toggle("vg-drawing", tool() !== "look"));
  byId("cancel").addEventListener("click", cancel);
  byId("undo").addEventListener("click", () => attempt(() => correct("undo")));
  byId("redo").addEventListener("click", () => attempt(() => correct("redo")));
  byId("absent").addEventListener("click", () => said({ absent: true }));
  const number = () => player.answer.objects[player.chosen].number;
  byId("remove").addEventListener("click", () => attempt(() => correct("step", { step: "remove", object: number() })));
  byId("rename").addEventListener("click", () => {
    const label = prompt("Its new name", player.answer.objects[player.chosen].name);
    if (label) attempt(() => correct("step", { step: "rename", object: number(), label }));
  });
  byId("compare").addEventListener("change", () => player.compare(byId("compare").checked ? earlier : null));
  byId("download").addEventListener("click", () => attempt(download));
  byId("copy").addEventListener("click", () => attempt(async () => {
    const response = await written("python");
    // Browsers lend it to pages of this machine and of https.
    if (!navigator.clipboard) throw new Error("This browser lets no page without https copy. Take it away as Python.");
    await navigator.clipboard.writeText(await response.text());
    say("copied");
  }));
  for (const id of ["start_time", "end_time", "num_frames", "every"]) {
    byId(id).addEventListener("change", () => media !== null && !running && attempt(() => open(media)));
  }
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") cancel();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { tagName, type } = event.target;
    if (["SELECT", "TEXTAREA"].includes(tagName)) return;
    // Boxes and sliders have keys of their own; letters and digits are none of them.
    if (tagName === "INPUT" && (!["radio", "checkbox", "range"].includes(type) || !/^[z1-9]$/i.test(event.key))) return;
    if (event.key === " " && ["BUTTON", "SUMMARY", "A"].includes(event.target.tagName)) return;
    if (player === null) return;
    if (event.key.toLowerCase() === "z" && question !== null) {
      const button = byId(event.shiftKey ? "redo" : "undo");
      if (!button.disabled) button.click();
    } else if (player.key(event.key)) event.preventDefault();
  });
}

async function start() {
  state = await call("GET", "state");
  byId("model").textContent = state.model;
  byId("kept").textContent = state.keep
    ? "Videos and answers are kept on this server for this browser, also after a reload, until room is needed."
    : "Videos and answers are kept until the server stops.";
  byId("address").hidden = !state.urls;
  for (const format of state.formats) byId("format").add(new Option(FORMAT_NAMES[format] ?? format, format));
  for (const mode of state.modes) byId("mode").add(new Option(mode, mode, mode === state.mode, mode === state.mode));
  if (state.examples.length) byId("examples").append("Or try:");
  state.examples.forEach((example, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = example.name;
    button.addEventListener("click", () => !running && attempt(async () => {
      const about = await call("POST", `examples/${number}`);
      state.media.push(about);
      byId("question").value = example.question;
      await open(about.id);
    }));
    byId("examples").append(button);
  });
  history();
}

async function resume() {
  if (media !== null) return;
  const last = state.questions.at(-1);
  if (last) await openQuestion(last.id);
  else if (state.media.length) await open(state.media.at(-1).id);
}

listen();
ready = start();
attempt(resume);
