// Edits and looks at the state go to the server one after the other, so that no older answer comes after a newer one.
import * as server from "/server.js";
import { toast } from "/says.js";

export class Talk {
  // take(news): shows what changed; focus(): the frame in view; wait(): milliseconds until the next look.
  constructor(take, focus, wait) {
    Object.assign(this, { show: take, focus, wait, version: 0, unsaved: 0, queue: Promise.resolve(), timer: 0 });
  }

  take(news) {
    this.version = news.version;
    this.show(news);
  }

  // Send an edit; returns what comes of it, nothing where it was refused.
  edit(op, values = {}) {
    this.unsaved++;
    this.queue = this.queue.then(async () => {
      let result;
      try {
        const answer = await server.postEdit({ op, since: this.version, ...values }).finally(() => this.unsaved--);
        this.take(answer);
        result = answer.result;
      } catch (error) {
        this.version = 0; // ask for everything again: the edit was not made
        toast(error.message);
      }
      this.poll(0);
      return result;
    });
    return this.queue;
  }

  poll(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.queue = this.queue.then(async () => {
        try {
          this.take(await server.getState(this.version, this.focus()));
        } catch (error) {
          toast(error.message);
        }
        this.poll(this.wait());
      });
    }, wait);
  }

  async import(kind, file) {
    try {
      this.take(await server.postImport(kind, await file.text()));
      this.poll(0);
    } catch (error) {
      toast(error.message);
    }
  }
}
