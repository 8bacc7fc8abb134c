// Shows one answer: frames with masks, words whose phrases name objects, a row for each object.
// What is shown comes as one object; document.py describes it. Text is only ever set as text, never as HTML.
"use strict";

class VideoGlammPlayer {
  constructor(root, answer) {
    this.root = root;
    this.frame = 0;
    this.lit = this.chosen = null;
    this.hidden = new Set();
    this.before = null;
    this.split = 0.5;
    this.pictures = new Map();
    this.layers = new Map();
    this.listeners = {};
    // Whoever draws on the frame sets these: what is drawn over it, and whether a click is one of looking.
    this.draft = null;
    this.looking = null;
    this.build();
    this.show(answer);
  }

  on(name, listener) {
    (this.listeners[name] ??= []).push(listener);
  }

  tell(name, ...values) {
    for (const listener of this.listeners[name] ?? []) listener(...values);
  }

  // What is shown

  show(answer) {
    this.pause();
    const same = this.answer && this.answer.frames.length === answer.frames.length
      && this.answer.frames[0] === answer.frames[0];
    this.answer = answer;
    this.layers.clear();
    this.before = null;
    this.root.classList.remove("vg-comparing");
    if (!same) {
      this.pictures.clear();
      this.frame = 0;
      this.hidden.clear();
    }
    this.lit = this.chosen = null;
    this.slider.max = Math.max(0, answer.frames.length - 1);
    this.slider.disabled = this.button.disabled = answer.frames.length < 2;
    this.canvas.width = answer.width;
    this.canvas.height = answer.height;
    // As wide as there is room, without a margin inside, so that places on it are places in the frame.
    this.canvas.style.width = this.line.style.width = `min(100%, ${(60 * answer.width) / answer.height}vh)`;
    this.writeWords();
    this.words.setAttribute("aria-busy", "false");
    this.writeObjects();
    this.seek(this.frame);
  }

  // Words so far, while they are spoken.
  speak(text, phrases) {
    this.answer.text = text;
    this.answer.phrases = phrases;
    // A screen reader waits for the end of the sentence.
    this.words.setAttribute("aria-busy", "true");
    this.writeWords();
  }

  // The masks of one frame, while they are decided: [{index, mask, score}].
  fill(frame, masks) {
    for (const { index, mask, score } of masks) {
      const object = this.objectAt(index);
      object.masks[frame] = mask;
      object.scores[frame] = score;
      this.layers.delete(`${index} ${frame}`);
    }
    this.writeTimelines();
    if (frame === this.frame) this.draw();
  }

  objectAt(index) {
    const objects = this.answer.objects;
    while (objects.length <= index) {
      const number = objects.length;
      const phrase = this.answer.phrases.find((own) => own.object_index === number);
      objects.push({
        name: phrase ? phrase.text : `object ${number + 1}`,
        color: this.answer.colors[number % this.answer.colors.length],
        masks: [],
        scores: [],
      });
      this.writeObjects();
    }
    return objects[index];
  }

  // Another answer to the same frames, to the left of a line that can be moved; null ends it.
  compare(answer) {
    this.before = answer;
    this.layers.clear();
    this.root.classList.toggle("vg-comparing", answer !== null);
    this.draw();
  }

  // The page around the canvas

  build() {
    this.root.classList.add("vg-player");
    this.root.replaceChildren();
    this.stage = this.make("div", "vg-stage", this.root);
    this.canvas = this.make("canvas", "vg-canvas", this.stage);
    this.canvas.setAttribute("role", "img");
    this.context = this.canvas.getContext("2d");
    this.line = this.make("input", "vg-line", this.stage);
    Object.assign(this.line, { type: "range", min: 0, max: 100, value: 50 });
    this.line.setAttribute("aria-label", "where before ends and after begins");
    this.line.addEventListener("input", () => {
      this.split = this.line.value / 100;
      this.draw();
    });
    const controls = this.make("div", "vg-controls", this.root);
    this.button = this.make("button", "vg-play", controls, "Play");
    this.button.type = "button";
    this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    this.slider = this.make("input", "vg-scrubber", controls);
    Object.assign(this.slider, { type: "range", min: 0, value: 0, step: 1 });
    this.slider.setAttribute("aria-label", "frame");
    this.slider.addEventListener("input", () => {
      this.pause();
      this.seek(Number(this.slider.value));
    });
    this.clock = this.make("span", "vg-clock", controls);
    this.words = this.make("p", "vg-words", this.root);
    this.words.setAttribute("aria-live", "polite");
    this.words.setAttribute("aria-label", "answer");
    this.note = this.make("p", "vg-note", this.root);
    this.rows = this.make("ul", "vg-objects", this.root);
    this.rows.setAttribute("aria-label", "objects");
    this.canvas.addEventListener("click", (event) => this.clicked(event));
  }

  make(tag, name, parent, text) {
    const made = document.createElement(tag);
    made.className = name;
    if (text !== undefined) made.textContent = text;
    parent?.append(made);
    return made;
  }

  writeWords() {
    const { text, phrases } = this.answer;
    const parts = [];
    let at = 0;
    // Offsets count characters, of which JavaScript counts some twice.
    const letters = Array.from(text);
    const cut = (start, end) => letters.slice(start, end).join("");
    for (const phrase of phrases) {
      parts.push(document.createTextNode(cut(at, phrase.start)));
      at = phrase.end;
      const index = phrase.object_index;
      if (index === null || index === undefined) {
        parts.push(this.make("span", "vg-nothing", null, phrase.text));
        continue;
      }
      const button = this.make("button", "vg-phrase", null, phrase.text);
      button.type = "button";
      button.dataset.object = index;
      this.dress(button, index);
      button.addEventListener("mouseenter", () => this.light(index, true));
      button.addEventListener("mouseleave", () => this.light(null, true));
      button.addEventListener("click", () => this.choose(index));
      parts.push(button);
    }
    parts.push(document.createTextNode(cut(at)));
    this.words.replaceChildren(...parts);
    this.note.textContent = this.answer.note ?? "";
    this.note.hidden = !this.answer.note;
    this.mark();
  }

  writeObjects() {
    this.bars = [];
    this.rows.replaceChildren(...this.answer.objects.map((object, index) => {
      const row = this.make("li", "vg-object");
      row.dataset.object = index;
      const shown = this.make("input", "vg-shown", row);
      Object.assign(shown, { type: "checkbox", checked: !this.hidden.has(index) });
      shown.setAttribute("aria-label", `show ${object.name}`);
      shown.addEventListener("change", () => this.toggle(index));
      const color = this.make("input", "vg-color", row);
      Object.assign(color, { type: "color", value: this.color(index) });
      color.setAttribute("aria-label", `colour of ${object.name}`);
      color.addEventListener("input", () => this.recolor(index, color.value));
      const name = this.make("button", "vg-name", row, object.name);
      name.type = "button";
      this.dress(name, index);
      name.addEventListener("click", () => this.choose(index));
      name.addEventListener("mouseenter", () => this.light(index, true));
      name.addEventListener("mouseleave", () => this.light(null, true));
      const bar = this.make("canvas", "vg-bar", row);
      bar.setAttribute("role", "img");
      bar.addEventListener("click", (event) => {
        const box = bar.getBoundingClientRect();
        this.seek(Math.floor(((event.clientX - box.left) / box.width) * this.answer.frames.length));
      });
      this.bars.push(bar);
      const sure = this.make("span", "vg-sure", row);
      sure.textContent = object.probability === undefined || object.probability === null
        ? "" : `${Math.round(100 * object.probability)} % sure`;
      this.tell("row", row, index, object);
      return row;
    }));
    this.writeTimelines();
    this.mark();
  }

  // A bar per object: as high as the decoder is sure that it is there, in its colour where there is a mask.
  writeTimelines() {
    const count = this.answer.frames.length;
    this.answer.objects.forEach((object, index) => {
      const bar = this.bars[index];
      if (!bar) return;
      bar.width = Math.max(count, 600);
      bar.height = 20;
      const context = bar.getContext("2d");
      const step = bar.width / count;
      let there = 0;
      for (let frame = 0; frame < count; frame += 1) {
        const score = object.scores[frame];
        if (score === undefined) continue;
        const high = 18 / (1 + Math.exp(-score));
        const seen = object.masks[frame] !== null;
        there += seen;
        context.fillStyle = seen ? this.color(index) : "#8888";
        context.fillRect(frame * step, 20 - Math.max(2, high), Math.ceil(step), Math.max(2, high));
      }
      context.fillStyle = "#fff";
      context.fillRect((this.frame + 0.5) * step - 1, 0, 2, 20);
      bar.setAttribute("aria-label", `${object.name}: in ${there} of ${count} frames`);
    });
  }

  color(index) {
    return this.answer.objects[index]?.color ?? this.answer.colors[index % this.answer.colors.length];
  }

  dress(element, index) {
    element.style.setProperty("--own", this.color(index));
    element.dataset.pattern = index % 4;
  }

  // Objects lit, hidden, recoloured

  choose(index) {
    this.chosen = this.chosen === index ? null : index;
    this.lit = this.chosen;
    this.mark();
    this.draw();
    this.tell("choose", this.chosen);
  }

  light(index, passing) {
    this.lit = index ?? (passing ? this.chosen : null);
    this.mark();
    this.draw();
  }

  mark() {
    for (const element of this.root.querySelectorAll("[data-object]")) {
      element.classList.toggle("vg-lit", Number(element.dataset.object) === this.lit);
      if (element.tagName === "BUTTON") {
        element.setAttribute("aria-pressed", String(Number(element.dataset.object) === this.chosen));
      }
    }
  }

  toggle(index) {
    if (!this.hidden.delete(index)) this.hidden.add(index);
    const box = this.rows.children[index]?.querySelector(".vg-shown");
    if (box) box.checked = !this.hidden.has(index);
    this.draw();
  }

  recolor(index, color) {
    this.answer.objects[index].color = color;
    this.layers.clear();
    for (const element of this.root.querySelectorAll(`[data-object="${index}"]`)) this.dress(element, index);
    for (const element of this.root.querySelectorAll(`[data-object="${index}"] .vg-name`)) this.dress(element, index);
    this.writeTimelines();
    this.draw();
    this.tell("recolor", index, color);
  }

  // Time

  seek(frame) {
    const last = this.answer.frames.length - 1;
    this.frame = Math.min(Math.max(0, frame), Math.max(0, last));
    this.slider.value = this.frame;
    const seconds = this.answer.timestamps[this.frame] ?? 0;
    this.clock.textContent = `${this.frame + 1} / ${last + 1}  ${seconds.toFixed(2)} s`;
    this.slider.setAttribute("aria-valuetext", `frame ${this.frame + 1} of ${last + 1}, ${seconds.toFixed(2)} seconds`);
    this.writeTimelines();
    this.draw();
    this.tell("frame", this.frame);
  }

  play() {
    const { frames, timestamps } = this.answer;
    if (frames.length < 2) return;
    const next = () => {
      const frame = (this.frame + 1) % frames.length;
      this.seek(frame);
      const ahead = timestamps[frame + 1] - timestamps[frame];
      this.timer = setTimeout(next, 1000 * Math.min(2, ahead > 0 ? ahead : 0.25));
    };
    this.button.textContent = "Pause";
    this.timer = setTimeout(next, 0);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.button) this.button.textContent = "Play";
  }

  // What a key does; whether it did something.
  key(key) {
    if (key === " ") this.timer ? this.pause() : this.play();
    else if (key === "ArrowLeft") this.pause(), this.seek(this.frame - 1);
    else if (key === "ArrowRight") this.pause(), this.seek(this.frame + 1);
    else if (/^[1-9]$/.test(key) && this.answer.objects[Number(key) - 1]) this.choose(Number(key) - 1);
    else return false;
    return true;
  }

  // Drawing

  picture(frame) {
    const source = this.answer.frames[frame];
    if (!source) return null;
    if (!this.pictures.has(frame)) {
      const image = new Image();
      image.onload = () => frame === this.frame && this.draw();
      image.src = source;
      this.pictures.set(frame, image);
    }
    const image = this.pictures.get(frame);
    return image.complete && image.naturalWidth ? image : null;
  }

  draw() {
    const { width, height } = this.canvas;
    const context = this.context;
    context.clearRect(0, 0, width, height);
    const image = this.picture(this.frame);
    if (image) context.drawImage(image, 0, 0, width, height);
    else {
      context.fillStyle = "#3a3d45";
      context.fillRect(0, 0, width, height);
    }
    if (this.before) {
      const place = Math.round(this.split * width);
      this.clipped(0, place, () => this.drawMasks(this.before, "before "));
      this.clipped(place, width - place, () => this.drawMasks(this.answer, ""));
      context.fillStyle = "#fff";
      context.fillRect(place - 1, 0, 2, height);
    } else this.drawMasks(this.answer, "");
    if (this.draft) this.draft(context);
    const seen = this.answer.objects.filter((object, index) => object.masks[this.frame] && !this.hidden.has(index));
    this.canvas.setAttribute("aria-label", seen.length
      ? `frame ${this.frame + 1}, with masks of ${seen.map((object) => object.name).join(", ")}`
      : `frame ${this.frame + 1}, no masks`);
    this.pictureAhead();
  }

  pictureAhead() {
    for (let ahead = 1; ahead < 4; ahead += 1) this.picture(this.frame + ahead);
  }

  clipped(left, width, drawn) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(left, 0, width, this.canvas.height);
    this.context.clip();
    drawn();
    this.context.restore();
  }

  drawMasks(answer, kind) {
    const { width, height } = this.canvas;
    if (this.lit !== null && answer.objects[this.lit]?.masks[this.frame]) this.dim(answer, kind);
    answer.objects.forEach((object, index) => {
      const mask = object.masks[this.frame];
      if (!mask || this.hidden.has(index)) return;
      this.context.globalAlpha = this.lit === null || this.lit === index ? 1 : 0.25;
      this.context.drawImage(this.layer(kind, object, index, mask).tinted, 0, 0, width, height);
      this.context.globalAlpha = 1;
    });
  }

  // All but the lit object in the dark.
  dim(answer, kind) {
    const { width, height } = this.canvas;
    const object = answer.objects[this.lit];
    const { shape } = this.layer(kind, object, this.lit, object.masks[this.frame]);
    const dark = new OffscreenCanvas(width, height);
    const context = dark.getContext("2d");
    context.fillStyle = "rgba(0, 0, 0, 0.6)";
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-out";
    context.drawImage(shape, 0, 0, width, height);
    this.context.drawImage(dark, 0, 0);
  }

  // A mask as pictures: its shape, and tinted with its pattern and outline.
  layer(kind, object, index, mask) {
    const key = `${kind}${index} ${this.frame}`;
    if (this.layers.has(key)) return this.layers.get(key);
    const [height, width] = mask.size;
    const inside = VideoGlammPlayer.decode(mask);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(object.color.slice(at, at + 2), 16));
    const shape = new ImageData(width, height);
    const tinted = new ImageData(width, height);
    const period = Math.max(6, Math.round(width / 60));
    const thick = Math.max(1, Math.round(width / 320));
    const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && inside[x * height + y];
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (!inside[x * height + y]) continue;
        const place = 4 * (y * width + x);
        shape.data[place + 3] = 255;
        const edge = !at(x - thick, y) || !at(x + thick, y) || !at(x, y - thick) || !at(x, y + thick);
        const hatched = [
          false,
          (x + y) % period < period / 4,
          x % period < period / 3 && y % period < period / 3,
          (x - y + 64 * period) % period < period / 4,
        ][index % 4];
        tinted.data.set([red, green, blue, edge ? 255 : hatched ? 190 : 110], place);
      }
    }
    const drawn = { shape: this.canvasOf(shape), tinted: this.canvasOf(tinted) };
    if (this.layers.size > 400) this.layers.clear();
    this.layers.set(key, drawn);
    return drawn;
  }

  canvasOf(data) {
    const canvas = new OffscreenCanvas(data.width, data.height);
    canvas.getContext("2d").putImageData(data, 0, 0);
    return canvas;
  }

  // COCO's compressed run lengths, column by column; Uint8Array of width * height.
  static decode({ size: [height, width], counts }) {
    const inside = new Uint8Array(height * width);
    const lengths = [];
    for (let at = 0; at < counts.length; ) {
      let value = 0, shift = 0, more = true;
      while (more) {
        const code = counts.charCodeAt(at) - 48;
        value |= (code & 0x1f) << shift;
        more = (code & 0x20) !== 0;
        at += 1;
        shift += 5;
        if (!more && code & 0x10) value |= -1 << shift;
      }
      if (lengths.length > 2) value += lengths[lengths.length - 2];
      lengths.push(value);
    }
    let place = 0, set = 0;
    for (const length of lengths) {
      if (set) inside.fill(1, place, place + length);
      place += length;
      set = 1 - set;
    }
    return inside;
  }

  // Where an event is, in pixels of the video.
  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const within = (value, most) => Math.min(Math.max(0, value), most - 1);
    return [
      within(Math.floor(((event.clientX - box.left) / box.width) * this.canvas.width), this.canvas.width),
      within(Math.floor(((event.clientY - box.top) / box.height) * this.canvas.height), this.canvas.height),
    ];
  }

  // The object under a point, the smallest if there are several; null if there is none.
  objectUnder([x, y]) {
    let found = null, least = Infinity;
    this.answer.objects.forEach((object, index) => {
      const mask = object.masks[this.frame];
      if (!mask || this.hidden.has(index)) return;
      const [height, width] = mask.size;
      const inside = VideoGlammPlayer.decode(mask);
      const own = Math.floor((x * width) / this.canvas.width) * height + Math.floor((y * height) / this.canvas.height);
      const area = inside.reduce((sum, value) => sum + value, 0);
      if (inside[own] && area < least) [found, least] = [index, area];
    });
    return found;
  }

  clicked(event) {
    if (this.looking && !this.looking()) return;
    const index = this.objectUnder(this.point(event));
    this.chosen = null;
    if (index === null) this.light(null);
    else this.choose(index);
    this.tell("pick", index);
  }
}

globalThis.VideoGlammPlayer = VideoGlammPlayer;
