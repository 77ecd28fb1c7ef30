import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Command } from '../src/bindings/Command';
import { close, open } from './open';

beforeEach(() => { localStorage.clear(); });
afterEach(close);

it('sells for exact cash in two taps, and the next scan starts the next sale', async () => {
  const { sell, actions, tap, seen, commands, find } = await open();
  await sell();
  actions.scan('6130000000370');
  actions.scan('6130000000394');
  actions.scan('6130000000370');
  await vi.waitFor(() => expect(find('line-1')?.dataset.quantity).toBe('2000'));
  await tap('charge');
  await tap('tender-exact');
  expect((await seen('change-due')).dataset.minor).toBe('0');
  expect(commands('Complete').length).toBe(1);
  actions.scan('6130000000462');
  await seen('charge');
  await vi.waitFor(() => expect(find('line-1')?.dataset.sku).toBe('SAC-SOU-7001'));
});

it('a tap sent twice completes one sale', async () => {
  const { sell, actions, tap, seen, commands } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('charge');
  const exact = await seen('tender-exact');
  exact.click();
  exact.click();
  await seen('change-due');
  expect(commands('Complete').length).toBe(1);
});

it('records a part where it does not cover what is due: the till decides which it is', async () => {
  const { sell, actions, tap, seen, commands, find } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('charge');
  for (const key of ['1', '0', '0']) await tap('key-' + key);
  await tap('tender-typed');
  await seen('tender-remove-0');
  expect(find('due')?.dataset.minor).toBe('89990');
  await tap('tender-quick-90000');
  expect((await seen('change-due')).dataset.minor).toBe('10');
  expect(commands('Complete').length).toBe(2);
  expect(commands('AddTender').length).toBe(1);
});

it('shows an unknown code until the next good scan, and changes nothing', async () => {
  const { sell, actions, seen, find } = await open();
  await sell();
  actions.scan('9999999999999');
  const note = await seen('scan-error');
  expect(note.textContent).toContain('9999999999999');
  expect(find('line-1')).toBe(null);
  actions.scan('6130000000370');
  await seen('line-1');
  expect(find('scan-error')).toBe(null);
});

it('takes no scan while money is being taken', async () => {
  const { sell, actions, tap, seen, commands } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('charge');
  await seen('tender-exact');
  actions.scan('6130000000394');
  await seen('toast');
  expect(commands('ScanCode').length).toBe(1);
});

it('a removed line comes back with one tap', async () => {
  const { sell, actions, tap, seen, find, commands } = await open();
  await sell();
  actions.scan('6130000000370');
  await tap('line-1-remove');
  await seen('undo');
  await vi.waitFor(() => expect(find('line-1')).toBe(null));
  await tap('undo');
  await seen('line-1');
  expect(commands('RestoreLine')).toEqual([{ type: 'RestoreLine', line: 1 }]);
});

it('asks a manager only where the till wants one, and says what for', async () => {
  const { sell, actions, tap, seen, pin, root, commands, till } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('discount');
  await tap('discount-20');
  await seen('pin-1');
  expect(root.textContent).toContain('Remise de 20\u00a0% sur toute la vente');
  await pin('111111');
  await seen('pin-error');
  await pin('369258');
  await vi.waitFor(() => expect(document.querySelector('.veil')).toBe(null));
  const asked = commands('DiscountCart') as Extract<Command, { type: 'DiscountCart' }>[];
  expect(asked.map((command) => command.approval === null)).toEqual([true, false, false]);
  expect(till.cart.discount).toEqual({ type: 'percent', bp: 2000 });
});

it('counts down after too many wrong PINs and is deaf meanwhile', async () => {
  const { tap, pin, find, commands } = await open();
  await tap('user-Amira');
  for (let n = 1; n <= 5; n++) {
    await pin('1111');
    await vi.waitFor(() => expect(commands('SignIn').length).toBe(n));
    await vi.waitFor(() => expect(find('pin-dots')?.dataset.length).toBe('0'));
  }
  await vi.waitFor(() => expect(document.querySelector('.pin-note')?.textContent).toMatch(/3[01]\s*s/));
  (find('pin-1') as HTMLElement).click();
  expect(find('pin-dots')?.dataset.length).toBe('0');
});

it('a blocked member of staff is unblocked by a manager', async () => {
  const { tap, pin, seen, commands } = await open({ blocked: true });
  await tap('user-Yassine');
  await tap('unblock-go');
  await seen('pin-1');
  await pin('369258');
  await vi.waitFor(() => expect(commands('Unblock').length).toBe(1));
  await vi.waitFor(async () => expect((await seen('user-Yassine')).textContent).not.toContain('Bloqué'));
});

it('closes the shift with the manager who signs the difference', async () => {
  const { sell, actions, tap, seen, pin } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('charge');
  await tap('tender-exact');
  await tap('menu');
  await tap('close-shift');
  await tap('count-50000-plus');
  await tap('close-shift-go');
  await seen('pin-1');
  await pin('369258');
  expect((await seen('z-difference')).dataset.minor).toBe('-139990');
  await tap('report-done');
  await seen('open-shift-go');
});

it('changes language and direction on the spot, and amounts stay left to right', async () => {
  const { sell, actions, tap, seen, till } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('menu');
  await tap('lang-ar');
  await vi.waitFor(() => expect(document.documentElement.dir).toBe('rtl'));
  const line = await seen('line-1');
  await vi.waitFor(() => expect(line.textContent).toContain('حذاء تريل أطلس'));
  for (const amount of document.querySelectorAll('.money')) expect((amount.firstElementChild as HTMLElement).dir).toBe('ltr');
  await vi.waitFor(() => expect(till.settings.language).toBe('ar'));
});

it('loads the texts of a language once, when it is chosen, and French never', async () => {
  const { sell, tap, texts, root } = await open();
  await sell();
  const pick = async (code: string, says: string) => {
    await tap('menu');
    await tap('lang-' + code);
    await vi.waitFor(() => expect(document.documentElement.lang).toBe(code));
    await vi.waitFor(() => expect(root.textContent).toContain(says));
    await tap('sheet-close');
  };
  expect(texts.asked).toEqual([]);
  await pick('en', 'Charge');
  await pick('ar', 'استخلاص');
  await pick('fr', 'Encaisser');
  await pick('ar', 'استخلاص');
  expect(texts.asked).toEqual(['./texts-en.json', './texts-ar.json']);
});

it('a language that cannot be loaded is not taken, and can be chosen once it can', async () => {
  const { sell, tap, seen, texts, till, root } = await open();
  texts.missing.push('ar');
  await sell();
  await tap('menu');
  await tap('lang-ar');
  await vi.waitFor(async () => expect((await seen('toast')).textContent).toContain('Cette langue'));
  expect(document.documentElement.dir).toBe('ltr');
  expect(till.settings.language).toBe('fr');
  texts.missing.length = 0;
  await tap('lang-ar');
  await vi.waitFor(() => expect(document.documentElement.dir).toBe('rtl'));
  await vi.waitFor(() => expect(till.settings.language).toBe('ar'));
  expect(root.textContent).not.toContain('Encaisser');
});

it('the language that was chosen last shows, whichever was loaded first', async () => {
  const { sell, tap, till, state } = await open();
  let arrive = () => {};
  const late = new Promise<void>((go) => { arrive = go; });
  const served = fetch;
  vi.stubGlobal('fetch', (url: string) => late.then(() => served(url)));
  await sell();
  await tap('menu');
  await tap('lang-ar');
  await tap('lang-fr');
  await vi.waitFor(() => expect(till.calls.some((command: { type: string }) => command.type === 'SetSettings')).toBe(true));
  arrive();
  await late;
  await state.refresh();
  await vi.waitFor(() => expect(till.settings.language).toBe('fr'));
  expect(document.documentElement.lang).toBe('fr');
});

it('opens in French when the language of the till cannot be loaded, and tries again', async () => {
  const { tap, texts, root, poll } = await open({ language: 'ar' }, () => null, ['ar']);
  await tap('user-Amira');
  expect(texts.asked.length).toBeGreaterThan(0);
  expect(document.documentElement.dir).toBe('ltr');
  expect(root.textContent).toContain('Amira');
  texts.missing.length = 0;
  poll();
  await vi.waitFor(() => expect(document.documentElement.dir).toBe('rtl'));
});

it('the desk works by keys: charge, exact', async () => {
  const { sell, actions, seen, key } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  key('F12');
  await seen('tender-exact');
  await vi.waitFor(() => expect(key('Enter')).toBe(true));
  await seen('change-due');
});

it('parks, shows what is parked and takes it back', async () => {
  const { sell, actions, tap, seen, find } = await open();
  await sell();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('park');
  await vi.waitFor(() => expect(find('line-1')).toBe(null));
  await tap('recall');
  await tap('parked-0');
  await seen('line-1');
});

it('says in words and colour how the exchange stands', async () => {
  const { sell, seen, till, state } = await open({ sync: { state: 'offline', unsynced: 12, oldest_age_ms: 720000 } });
  await sell();
  const pill = await seen('sync-pill');
  expect(pill.textContent).toContain('Hors ligne · 12 en attente');
  till.sync = { ...till.sync, state: 'online', unsynced: 0, oldest_age_ms: null };
  await state.refresh();
  await vi.waitFor(() => expect(find('sync-pill')).toBe('Synchronisé'));
  function find(id: string) { return document.querySelector(`[data-testid="${id}"]`)?.textContent; }
});

it('gives keys to a sheet that came up together with its screen', async () => {
  const { sell, find, seen, key, state } = await open();
  const { SheetFrame } = await import('../src/till/controls');
  await sell();
  const id = state.openSheet(() => <SheetFrame id={id} title="over"><p data-testid="over" /></SheetFrame>);
  state.go({ at: 'receipts' });
  await seen('over');
  await seen('back');
  // The screen listens only after it was painted, so later than the sheet over it.
  await new Promise(frame => requestAnimationFrame(() => setTimeout(frame)));
  key('Escape');
  await vi.waitFor(() => expect(find('over')).toBeNull());
  expect(state.view.value).toBe('receipts');
});
