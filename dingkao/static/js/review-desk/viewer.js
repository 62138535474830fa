// Photo and proofs in place: one document after the other, a PDF page by page as pictures, with zoom and
// rotation. The links below stay what they are for whoever wants a window of its own.
const ZOOM_STEP = 1.25;
const MAX_ZOOM = 8;
const PAN_STEP = 60;

class DocumentViewer {
  constructor(section) {
    this.stage = section.querySelector("[data-stage]");
    this.picture = section.querySelector("[data-picture]");
    this.message = section.querySelector("[data-stage-message]");
    this.position = section.querySelector("[data-position]");
    this.links = [...section.querySelectorAll("[data-document]")];
    this.current = 0;
    this.page = 1;
    this.pageCount = 1;
    this.fit();
    for (const button of section.querySelectorAll("[data-act]"))
      button.addEventListener("click", () => this.perform(button.dataset.act));
    for (const link of this.links) link.addEventListener("click", (event) => this.follow(event, link));
    for (const link of document.querySelectorAll("[data-shows]"))
      link.addEventListener("click", (event) =>
        this.follow(
          event,
          this.links.find((other) => other.dataset.document === link.dataset.shows),
        ),
      );
    this.dragByPointer();
    this.show(0, 1);
  }

  follow(event, link) {
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.show(this.links.indexOf(link), 1);
    this.stage.focus();
  }

  perform(name) {
    const acts = {
      previous: () => this.step(-1),
      next: () => this.step(1),
      in: () => this.zoomBy(ZOOM_STEP),
      out: () => this.zoomBy(1 / ZOOM_STEP),
      turn: () => this.turn(),
      fit: () => this.fit(),
    };
    acts[name]?.();
  }

  step(by) {
    const page = this.page + by;
    if (page >= 1 && page <= this.pageCount) this.show(this.current, page);
    else if (this.links[this.current + by]) this.show(this.current + by, 1);
  }

  async show(index, page) {
    const link = this.links[index];
    if (!link) return;
    [this.current, this.page, this.pageCount] = [index, page, 1];
    for (const other of this.links) other.toggleAttribute("aria-current", other === link);
    const address = new URL(link.href);
    if (link.dataset.type === "application/pdf") address.pathname += `/page-${page}.jpg`;
    this.say("正在打开…");
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.status);
      const content = await answer.blob();
      if (this.current !== index || this.page !== page) return;
      this.pageCount = Number(answer.headers.get("X-Page-Count") ?? 1);
      this.setPicture(content, link.textContent);
    } catch {
      if (this.current === index) this.say("无法在此显示，请点击下面的文件名打开。");
    }
  }

  setPicture(content, name) {
    URL.revokeObjectURL(this.source);
    this.source = URL.createObjectURL(content);
    this.picture.src = this.source;
    this.picture.alt = `${this.picture.dataset.owner}的${name}`;
    this.picture.hidden = false;
    this.message.hidden = true;
    this.fit();
    const pages = this.pageCount > 1 ? `，第${this.page}/${this.pageCount}页` : "";
    this.position.textContent = `第${this.current + 1}/${this.links.length}件${pages}`;
  }

  say(text) {
    this.message.textContent = text;
    this.message.hidden = false;
    this.picture.hidden = true;
  }

  zoomBy(factor) {
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    this.draw();
  }

  turn() {
    this.angle = (this.angle + 90) % 360;
    this.draw();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.draw();
  }

  fit() {
    [this.zoom, this.angle, this.x, this.y] = [1, 0, 0, 0];
    this.draw();
  }

  draw() {
    const { style } = this.picture;
    style.transform = `translate(${this.x}px, ${this.y}px) rotate(${this.angle}deg) scale(${this.zoom})`;
  }

  dragByPointer() {
    let held = false;
    this.stage.addEventListener("pointerdown", (event) => {
      held = true;
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => held && this.pan(event.movementX, event.movementY));
    this.stage.addEventListener("pointerup", () => (held = false));
    this.picture.draggable = false;
  }

  // What a key does while the stage has the focus; whether it did anything.
  handleKey(key) {
    const acts = {
      ArrowLeft: () => this.moveOr(-PAN_STEP, 0, -1),
      ArrowRight: () => this.moveOr(PAN_STEP, 0, 1),
      ArrowUp: () => this.pan(0, PAN_STEP),
      ArrowDown: () => this.pan(0, -PAN_STEP),
      "+": () => this.zoomBy(ZOOM_STEP),
      "=": () => this.zoomBy(ZOOM_STEP),
      "-": () => this.zoomBy(1 / ZOOM_STEP),
      r: () => this.turn(),
      0: () => this.fit(),
      Escape: () => this.stage.blur(),
    };
    const handler = acts[key];
    handler?.();
    return Boolean(handler);
  }

  moveOr(x, y, by) {
    if (this.zoom > 1) this.pan(-x, -y);
    else this.step(by);
  }
}

export function startViewer(section) {
  return section?.querySelector("[data-stage]") ? new DocumentViewer(section) : null;
}
