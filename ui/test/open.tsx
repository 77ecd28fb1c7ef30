import { readFileSync } from 'node:fs';
import { render } from 'preact';
import { expect, vi } from 'vitest';
import type { Answer } from '../src/bindings/Answer';
import type { Command } from '../src/bindings/Command';
import { MockTill } from './mock-door.mjs';

/** The languages as the build lays them beside the page; those in `missing` are not there. */
export function serveTexts(missing: string[] = []) {
  const asked: string[] = [];
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(url);
    const code = (/^\.\/texts-(\w+)\.json$/.exec(url) || [])[1] as string;
    const read = (name: string) => JSON.parse(readFileSync(`i18n/${code}/${name}.json`, 'utf8')) as unknown;
    if (missing.indexOf(code) >= 0) return Promise.resolve({ ok: false, status: 404 });
    return Promise.resolve({ ok: true, json: () => Promise.resolve({ till: read('till'), refusal: read('refusal'), account: read('account') }) });
  });
  return { asked, missing };
}

/** The whole till in jsdom over the mock, freshly loaded. `hold` keeps an answer on its way until what it gave settles. */
export async function open(options: Record<string, unknown> = {}, hold: (command: Command) => Promise<void> | null = () => null, missing: string[] = []) {
  vi.resetModules();
  const texts = serveTexts(missing);
  document.body.innerHTML = '<div id="app"></div>';
  const till = new MockTill(options);
  const { App, guardScreens } = await import('../src/till/app');
  const { askApprovalSheet } = await import('../src/till/controls');
  const { pressKey } = await import('../src/till/keys');
  const actions = await import('../src/till/actions');
  const state = await import('../src/till/state');
  const { codeText } = await import('../src/till/texts');
  state.explainWith((refusal) => codeText(refusal.code, refusal.params));
  state.approveWith(askApprovalSheet);
  guardScreens();
  const root = document.getElementById('app') as HTMLElement;
  render(<App />, root);
  let poll = () => {};
  state.start({ send: (request) => {
    const answer = JSON.parse(JSON.stringify(till.handle(request.command))) as Answer;
    return Promise.resolve(hold(request.command)).then(() => answer);
  }, listen(changed) { poll = changed; } });
  const find = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);
  const seen = (id: string) => vi.waitFor(() => {
    const element = find(id);
    if (!element) throw new Error(`${id} is not on screen: ${root.textContent}`);
    return element;
  });
  const tap = async (id: string) => (await seen(id)).click();
  const pin = async (digits: string) => {
    for (const digit of digits) await tap('pin-' + digit);
    await vi.waitFor(() => expect(find('pin-dots')?.dataset.length).toBe(String(digits.length)));
    await tap('pin-ok');
  };
  const commands = (type: Command['type']) => (till.calls as Command[]).filter((command) => command.type === type);
  const sell = async () => {
    await tap('user-Amira');
    await pin('2580');
    await tap('open-shift-go');
    await seen('charge');
  };
  return { till, texts, poll: () => poll(), root, state, actions, find, seen, tap, pin, commands, sell, key: (key: string) => pressKey({ key, repeat: false }) };
}

/**
 * Takes the till off the page again, and waits out the frame that the library may still expect: its timer would
 * otherwise fire after the last test of a file has lost its page.
 */
export async function close() {
  const root = document.getElementById('app');
  if (root) render(null, root);
  await new Promise(frame => requestAnimationFrame(frame));
  vi.unstubAllGlobals();
  document.documentElement.lang = 'fr';
  document.documentElement.dir = 'ltr';
}
