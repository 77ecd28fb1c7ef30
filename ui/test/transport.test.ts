import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Answer } from '../src/bindings/Answer';
import type { Request } from '../src/bindings/Request';
import { callOver, connect, requestId, Unreachable, type Transport } from '../src/till/transport';

const DONE: Answer = { ok: { type: 'Done' } };

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function failing(times: number, token = false): Transport & { sent: Request[] } {
  const sent: Request[] = [];
  return { sent, listen() {}, send: (request) => { sent.push(request); return sent.length <= times ? Promise.reject(new Unreachable(token)) : Promise.resolve(DONE); } };
}

it('while no answer comes, the same id goes out again', async () => {
  const door = failing(3);
  const trouble: boolean[] = [];
  const answer = callOver(door, { type: 'ClearCart' }, (on) => trouble.push(on));
  await vi.runAllTimersAsync();
  expect(await answer).toEqual(DONE);
  expect(door.sent.length).toBe(4);
  expect(new Set(door.sent.map((request) => request.id)).size).toBe(1);
  expect(trouble).toEqual([true, true, true, false]);
});

it('it gives up after some tries, and at once without a key', async () => {
  const silent = failing(99);
  const first = callOver(silent, { type: 'GetCart' }, () => {}).catch((error) => error);
  await vi.runAllTimersAsync();
  expect(await first).toBeInstanceOf(Unreachable);
  expect(silent.sent.length).toBe(6);
  const locked = failing(99, true);
  expect(await callOver(locked, { type: 'GetCart' }, () => {}).catch((error) => error)).toBeInstanceOf(Unreachable);
  expect(locked.sent.length).toBe(1);
});

it('ids are random, version 4, and differ', () => {
  const ids = new Set(Array.from({ length: 500 }, requestId));
  expect(ids.size).toBe(500);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

function page(hash: string, reply: { status: number; body: string } | null) {
  const calls: { url: string; init: RequestInit }[] = [];
  history.replaceState(null, '', '/till.html' + hash);
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    calls.push({ url, init });
    return reply ? Promise.resolve({ status: reply.status, text: () => Promise.resolve(reply.body) }) : Promise.reject(new TypeError('refused'));
  });
  return calls;
}
const REQUEST: Request = { id: '10000000-0000-4000-8000-000000000001', command: { type: 'GetCart' } };

it('the key comes from the address, leaves it, and survives a reload', async () => {
  const calls = page('#token=a%2Fb', { status: 200, body: JSON.stringify(DONE) });
  expect(await connect().send(REQUEST)).toEqual(DONE);
  expect(location.href).not.toContain('token');
  await connect().send(REQUEST);
  expect(calls.map((call) => (call.init.headers as Record<string, string>).Authorization)).toEqual(['Bearer a/b', 'Bearer a/b']);
  expect(JSON.parse(String(calls[0]?.init.body))).toEqual(REQUEST);
});

it.each([
  [{ status: 401, body: '' }, true], [{ status: 200, body: '<html>' }, false], [{ status: 500, body: 'broken' }, false], [{ status: 200, body: '{"neither":1}' }, false], [null, false],
])('%j is no answer', async (reply, token) => {
  page('#token=x', reply);
  expect(await connect().send(REQUEST).catch((error) => error)).toEqual(new Unreachable(token));
});

it('silence is no answer either', async () => {
  page('#token=x', null);
  vi.stubGlobal('fetch', () => new Promise(() => {}));
  const answer = connect().send(REQUEST).catch((error) => error);
  await vi.runAllTimersAsync();
  expect(await answer).toEqual(new Unreachable(false));
});

it('in the window the request goes through the one command', async () => {
  const invoke = vi.fn(() => Promise.resolve(JSON.stringify(DONE)));
  (window as unknown as { __TAURI_INTERNALS__?: unknown }).__TAURI_INTERNALS__ = { invoke };
  expect(await connect().send(REQUEST)).toEqual(DONE);
  expect(invoke).toHaveBeenCalledWith('call', { request: JSON.stringify(REQUEST) });
  delete (window as unknown as { __TAURI_INTERNALS__?: unknown }).__TAURI_INTERNALS__;
});
