import type { Answer } from '../bindings/Answer';
import type { Command } from '../bindings/Command';
import type { Request } from '../bindings/Request';

/** The way to the till: one call, and a nudge whenever its state may have changed. */
export interface Transport {
  /** Sends one request; rejects with `Unreachable` when no answer came. */
  send(request: Request): Promise<Answer>;
  /** Calls back on events of the till; may never do so. */
  listen(changed: () => void): void;
}

/** No answer came. `token` says that the key of the page is missing or wrong: asking again is useless. */
export class Unreachable {
  constructor(readonly token: boolean) {}
}

interface TauriInternals {
  invoke(command: string, args: Record<string, unknown>): Promise<string>;
  transformCallback(callback: () => void): number;
}
const scope = window as unknown as { __TAURI_INTERNALS__?: TauriInternals };

class TauriTransport implements Transport {
  constructor(private readonly internals: TauriInternals) {}
  send(request: Request): Promise<Answer> {
    return this.internals.invoke('call', { request: JSON.stringify(request) }).then(
      (answer) => JSON.parse(answer) as Answer,
      () => { throw new Unreachable(false); },
    );
  }
  listen(changed: () => void): void {
    const handler = this.internals.transformCallback(changed);
    this.internals.invoke('plugin:event|listen', { event: 'till-event', target: { kind: 'Any' }, handler })
      .catch(() => { /* the status poll is enough, only slower */ });
  }
}

const TIMEOUT_MS = 15000;

class HttpTransport implements Transport {
  private readonly token: string;
  constructor() {
    const match = /[#&]token=([^&]+)/.exec(location.hash);
    if (match && match[1]) {
      const token = decodeURIComponent(match[1]);
      try { sessionStorage.setItem('hanout.token', token); } catch (_) { /* asked again after a reload */ }
      history.replaceState(null, '', location.pathname + location.search);
      this.token = token;
    } else {
      let kept: string | null = null;
      try { kept = sessionStorage.getItem('hanout.token'); } catch (_) { /* no storage */ }
      this.token = kept || '';
    }
  }
  send(request: Request): Promise<Answer> {
    const answer = fetch('/api/call', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: 'Bearer ' + this.token },
      body: JSON.stringify(request),
    }).then((response) => {
      if (response.status === 401 || response.status === 403) throw new Unreachable(true);
      return response.text().then((text) => {
        let body: Partial<{ ok: unknown; refused: unknown }> | null = null;
        try { body = JSON.parse(text); } catch (_) { /* no JSON: handled below */ }
        if (body && (body.ok || body.refused)) return body as Answer;
        if (response.status === 400) return { refused: { code: 'invalid_command', params: { detail: '400' } } } as Answer;
        throw new Unreachable(false);
      });
    });
    const silence = new Promise<never>((_, reject) => setTimeout(() => reject(new Unreachable(false)), TIMEOUT_MS));
    return Promise.race([answer, silence]).catch((error) => {
      throw error instanceof Unreachable ? error : new Unreachable(false);
    });
  }
  listen(changed: () => void): void {
    if (typeof EventSource !== 'function' || !this.token) return;
    const source = new EventSource('/api/events?token=' + encodeURIComponent(this.token));
    source.onmessage = changed;
    for (const name of ['status', 'sync', 'printer', 'changed', 'cart']) source.addEventListener(name, changed);
  }
}

export function connect(): Transport {
  return scope.__TAURI_INTERNALS__ ? new TauriTransport(scope.__TAURI_INTERNALS__) : new HttpTransport();
}

/** A random (version 4) id: crypto.randomUUID is younger than the oldest engine we run on. */
export function requestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let hex = '';
  for (let i = 0; i < 16; i++) {
    let byte = bytes[i] as number;
    if (i === 6) byte = (byte & 15) | 64;
    if (i === 8) byte = (byte & 63) | 128;
    hex += (byte < 16 ? '0' : '') + byte.toString(16);
    if (i === 3 || i === 5 || i === 7 || i === 9) hex += '-';
  }
  return hex;
}

const RETRY_MS = [150, 400, 1000, 2000, 3000];

/** Sends `command`; while no answer comes the same id goes out again, so that nothing is done twice. */
export function callOver(transport: Transport, command: Command, trouble: (on: boolean) => void): Promise<Answer> {
  const request: Request = { id: requestId(), command };
  const attempt = (n: number): Promise<Answer> => transport.send(request).then(
    (answer) => { trouble(false); return answer; },
    (error: Unreachable) => {
      trouble(true);
      const pause = RETRY_MS[n];
      if (error.token || pause === undefined) throw error;
      return new Promise<void>((go) => setTimeout(go, pause)).then(() => attempt(n + 1));
    },
  );
  return attempt(0);
}
