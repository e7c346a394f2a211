/** Server-sent events of one run. The connection is closed while nobody sees the page: browsers allow six at once. */
export class Live {
  /** `onStatus("live" | "waiting")` is called when the connection comes and goes. */
  constructor(run, onStatus) {
    this.address = `/api/runs/${encodeURIComponent(run)}/events`;
    this.run = run;
    this.onStatus = onStatus;
    this.listeners = new Map();
    this.source = null;
    this.visibility = () => (document.hidden ? this.disconnect() : this.connect());
    document.addEventListener("visibilitychange", this.visibility);
    this.connect();
  }

  /** Call `listener(object)` for each event of that name. Return a function that stops it. */
  subscribe(event, listener) {
    if (!this.listeners.has(event)) {
      this.listeners.set(event, new Set());
      if (this.source) this.listen(event);
    }
    this.listeners.get(event).add(listener);
    return () => this.listeners.get(event).delete(listener);
  }

  connect() {
    if (this.source || document.hidden) return;
    this.source = new EventSource(this.address);
    this.source.onopen = () => this.onStatus("live");
    this.source.onerror = () => {
      this.onStatus("waiting");
      // A browser gives up after a reply that is not an event stream; the viewer may only have been restarted.
      if (this.source && this.source.readyState === EventSource.CLOSED) {
        this.disconnect();
        this.again = setTimeout(() => this.connect(), 5000);
      }
    };
    for (const event of this.listeners.keys()) this.listen(event);
  }

  listen(event) {
    this.source.addEventListener(event, (message) => {
      const data = JSON.parse(message.data);
      for (const listener of this.listeners.get(event)) listener(data);
    });
  }

  disconnect() {
    clearTimeout(this.again);
    if (this.source) this.source.close();
    this.source = null;
  }

  /** End it for good. */
  close() {
    document.removeEventListener("visibilitychange", this.visibility);
    this.disconnect();
  }
}
