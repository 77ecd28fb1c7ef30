import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Command } from '../src/bindings/Command';
import { close, open } from './open';

beforeEach(() => { localStorage.clear(); });
afterEach(close);

type Of<T extends Command['type']> = Extract<Command, { type: T }>;

/** A till with an open shift and a float of 50 DT, on the page of its drawer. */
async function atDrawer(options: Record<string, unknown> = {}) {
  const hands = await open(options);
  const { tap, pin, seen } = hands;
  await tap('user-Amira');
  await pin('2580');
  await tap('count-50000-plus');
  await tap('open-shift-go');
  await seen('charge');
  await tap('menu');
  await tap('drawer');
  await seen('drawer-now');
  const digits = async (text: string) => { for (const digit of text) await tap('key-' + digit); };
  const type = async (id: string, text: string) => {
    const input = await seen(id) as HTMLInputElement;
    input.value = text;
    input.dispatchEvent(new Event('input', { bubbles: true }));
  };
  const enabled = (id: string) => vi.waitFor(() => {
    const button = hands.find(id) as HTMLButtonElement | null;
    if (!button || button.disabled) throw new Error(id + ' is dead');
  });
  return { ...hands, digits, type, enabled };
}

it('pays in without a manager, and shows the slip', async () => {
  const { tap, digits, enabled, commands, seen } = await atDrawer();
  await tap('pay-in');
  await digits('50');
  expect((await seen('cash-go') as HTMLButtonElement).disabled).toBe(true);
  await tap('reason-0');
  await enabled('cash-go');
  await tap('cash-go');
  await seen('drawer-now');
  await vi.waitFor(async () => expect((await seen('toast')).textContent).toContain('B00001'));
  expect(commands('MoveCash')).toEqual([{ type: 'MoveCash', movement: 'pay_in', amount_minor: 50000, reason: 'Appoint de monnaie', approval: null }]);
});

it('pays out with the manager who signs, who sees how much and what for', async () => {
  const { tap, digits, type, enabled, commands, seen, pin, root } = await atDrawer();
  await tap('pay-out');
  await digits('12');
  await tap('key-.');
  await digits('5');
  await type('reason', '  Ampoule  ');
  await enabled('cash-go');
  await tap('cash-go');
  await seen('pin-1');
  expect(root.textContent).toContain('Sortir 12.500\u00a0DT : Ampoule');
  await pin('369258');
  await seen('drawer-now');
  const asked = commands('MoveCash') as Of<'MoveCash'>[];
  expect(asked.map((one) => [one.amount_minor, one.reason, one.approval === null])).toEqual([[12500, 'Ampoule', true], [12500, 'Ampoule', false]]);
});

it('drops no more than the drawer holds, and says how much that is', async () => {
  const { tap, digits, enabled, seen, find } = await atDrawer();
  await tap('drop');
  await digits('500');
  await tap('reason-0');
  await enabled('cash-go');
  await tap('cash-go');
  await vi.waitFor(async () => expect((await seen('toast')).textContent).toContain('50.000'));
  expect(find('cash-go')).not.toBe(null);
});

it('where cashiers count blind, what the drawer holds is not said', async () => {
  const { tap, digits, enabled, seen } = await atDrawer({ blind: true });
  await tap('drop');
  await digits('500');
  await tap('reason-0');
  await enabled('cash-go');
  await tap('cash-go');
  const said = await seen('toast');
  expect(said.textContent).toContain('Le tiroir ne contient pas autant.');
  expect(said.textContent).not.toContain('50.000');
});

it('opens the drawer without a sale only for a reason', async () => {
  const { tap, enabled, commands, seen, till } = await atDrawer();
  await tap('no-sale');
  expect((await seen('no-sale-go') as HTMLButtonElement).disabled).toBe(true);
  await tap('reason-1');
  await enabled('no-sale-go');
  await tap('no-sale-go');
  await vi.waitFor(() => expect(commands('OpenDrawer')).toEqual([{ type: 'OpenDrawer', reason: 'Vérifier le tiroir' }]));
  expect(till.shift.no_sales).toBe(1);
});

it('counts without closing: openly', async () => {
  const { tap, seen, find } = await atDrawer();
  await tap('count-drawer');
  await tap('count-20000-plus');
  await tap('count-20000-plus');
  await tap('count-go');
  expect((await seen('counted-difference')).dataset.minor).toBe('-10000');
  await tap('counted-done');
  await seen('drawer-now');
  expect(find('counted-blind')).toBe(null);
});

it('counts without closing: blind', async () => {
  const { tap, seen, find } = await atDrawer({ blind: true });
  await tap('count-drawer');
  await tap('count-20000-plus');
  await tap('count-go');
  await seen('counted-blind');
  expect(find('counted-difference')).toBe(null);
});

it('a blind close that is off is counted again, or signed by a manager', async () => {
  const { tap, seen, pin, commands, find } = await atDrawer({ blind: true });
  await tap('drawer-close');
  await tap('count-1000-plus');
  await tap('close-shift-go');
  await seen('blind-differs');
  await tap('blind-recount');
  await vi.waitFor(() => expect(document.querySelector('.veil')).toBe(null));
  // What was counted is still there to be put right.
  expect(find('count-total')?.textContent).toContain('1.000');
  await tap('count-10000-plus');
  await tap('close-shift-go');
  await tap('blind-sign');
  await seen('pin-1');
  await pin('369258');
  expect((await seen('z-difference')).dataset.minor).toBe('-39000');
  expect((commands('CloseShift') as Of<'CloseShift'>[]).map((one) => one.approval === null)).toEqual([true, true, false]);
});

it('passes the drawer on: counted together, signed by the one who takes it, the sale in hand parked', async () => {
  const { tap, pin, seen, find, actions, commands, till } = await atDrawer();
  actions.scan('6130000000370');
  await seen('line-1');
  await tap('menu');
  await tap('drawer');
  await tap('hand-over');
  await seen('to-Yassine');
  expect(find('to-Amira')).toBe(null);
  await tap('to-Yassine');
  await tap('hand-over-count');
  await tap('count-50000-plus');
  await tap('hand-over-counted');
  await seen('pin-1');
  await pin('1111');
  await seen('pin-error');
  await pin('1470');
  await seen('charge');
  expect((commands('HandOver') as Of<'HandOver'>[]).map((one) => one.count)).toEqual([[{ denomination_minor: 50000, pieces: 1 }], [{ denomination_minor: 50000, pieces: 1 }]]);
  expect(till.user.name).toBe('Yassine');
  expect(find('line-1')).toBe(null);
  expect(till.parked.length).toBe(1);
  await tap('menu');
  await tap('drawer');
  await vi.waitFor(async () => expect((await seen('drawer-holder')).textContent).toContain('Yassine'));
});

it('passes the drawer on without a count', async () => {
  const { tap, pin, seen, commands } = await atDrawer();
  await tap('hand-over');
  await tap('to-Leïla');
  await tap('hand-over-no-count');
  await pin('369258');
  await seen('charge');
  expect((commands('HandOver') as Of<'HandOver'>[])[0]?.count).toBe(null);
});

it('sells from one drawer or the other, each with its own shift', async () => {
  const { tap, seen, find, commands } = await atDrawer({ drawers: 2 });
  expect((await seen('drawer-2')).textContent).toContain('Fermé');
  await tap('drawer-2');
  await tap('drawer-open');
  await vi.waitFor(() => expect(find('drawer-2')?.getAttribute('aria-pressed')).toBe('true'));
  await tap('count-20000-plus');
  await tap('open-shift-go');
  await vi.waitFor(async () => expect((await seen('drawer-no')).dataset.drawer).toBe('2'));
  expect((commands('OpenShift') as Of<'OpenShift'>[]).map((one) => one.drawer)).toEqual([1, 2]);
  await tap('menu');
  await tap('drawer');
  await tap('drawer-1');
  await tap('back');
  await vi.waitFor(async () => expect((await seen('drawer-no')).dataset.drawer).toBe('1'));
});

it('with one drawer nobody is asked which', async () => {
  const { find } = await atDrawer();
  expect(find('drawer-1')).toBe(null);
  expect(find('drawer-no')).toBe(null);
});

it('the X needs a manager where cashiers count blind', async () => {
  const { tap, pin, seen } = await atDrawer({ blind: true });
  await tap('x-report');
  await seen('pin-1');
  await pin('369258');
  expect((await seen('report-expected')).dataset.minor).toBe('50000');
});

it('takes no scan while money is counted or moved', async () => {
  const { tap, actions, seen, commands, find } = await atDrawer();
  await tap('pay-in');
  await seen('cash-go');
  actions.scan('6130000000370');
  await seen('toast');
  await tap('back');
  await tap('count-drawer');
  await seen('count-go');
  actions.scan('6130000000370');
  await seen('toast');
  expect(commands('ScanCode')).toEqual([]);
  expect(find('count-go')).not.toBe(null);
});

describe('reports', () => {
  /** The shift is closed with a Z of 42, seen in the list. */
  async function atReports() {
    const hands = await atDrawer();
    const { tap, seen, digits, enabled } = hands;
    await tap('pay-in');
    await digits('100');
    await tap('reason-1');
    await enabled('cash-go');
    await tap('cash-go');
    await tap('drawer-close');
    for (let n = 0; n < 3; n++) await tap('count-50000-plus');
    await tap('close-shift-go');
    await seen('z-difference');
    return hands;
  }

  it('a Z shows what moved and proposes a deposit', async () => {
    const { seen } = await atReports();
    expect((await seen('z-deposit')).dataset.minor).toBe('100000');
    expect((await seen('moved-pay_in')).dataset.minor).toBe('100000');
  });

  it('lists by kind, shows the paper, prints a copy that is counted', async () => {
    const { tap, seen, find, commands } = await atReports();
    await tap('report-done');
    await seen('open-shift-go');
    await tap('menu');
    await tap('reports');
    for (const number of ['Z42', 'D12', 'M3', 'Y1']) await seen('report-' + number);
    await tap('filter-month');
    await vi.waitFor(() => expect(find('report-Z42')).toBe(null));
    await tap('report-M3');
    expect((await seen('perpetual')).dataset.minor).toBe('18456290');
    expect((await seen('z-png') as HTMLImageElement).src).toMatch(/^data:image\/png;base64,/);
    await tap('report-reprint');
    await vi.waitFor(() => expect(find('copies')?.dataset.count).toBe('1'));
    expect(commands('ReprintReport')).toEqual([{ type: 'ReprintReport', number: 'M3' }]);
    await tap('back');
    // The filter is as it was left.
    expect((await seen('filter-month')).getAttribute('aria-pressed')).toBe('true');
  });

  it('shows the books of a report, of the shift and of everything', async () => {
    const { tap, seen, find, commands } = await atReports();
    await tap('report-balance');
    const even = await seen('balance-even');
    expect(even.dataset.debit).toBe(even.dataset.credit);
    expect(find('account-revenue:19')?.textContent).toContain('Ventes hors taxe 19\u00a0%');
    expect(find('balance-of-X')).toBe(null);
    await tap('balance-of-all');
    await vi.waitFor(() => expect(find('balance-of-all')?.getAttribute('aria-pressed')).toBe('true'));
    expect((commands('TrialBalance') as Of<'TrialBalance'>[]).map((one) => one.number)).toEqual(['Z42', null]);
    await tap('back');
    await seen('z-deposit');
  });

  it('closes periods with a manager, once no drawer is open', async () => {
    const { tap, pin, seen, till, commands } = await atDrawer();
    await tap('back');
    await tap('menu');
    await tap('reports');
    expect((await seen('close-periods') as HTMLButtonElement).disabled).toBe(true);
    await tap('back');
    await tap('menu');
    await tap('close-shift');
    await tap('count-50000-plus');
    await tap('close-shift-go');
    await tap('report-done');
    await tap('menu');
    await tap('reports');
    till.due = true;
    await tap('close-periods');
    await pin('369258');
    await vi.waitFor(async () => expect((await seen('toast')).textContent).toContain('Périodes clôturées'));
    expect((commands('ClosePeriods') as Of<'ClosePeriods'>[]).map((one) => one.approval === null)).toEqual([true, false]);
  });
});

describe.each([['fr', 'ltr', 'Tiroir-caisse', 'Balance'], ['ar', 'rtl', 'درج النقود', 'ميزان الحسابات'], ['en', 'ltr', 'Cash drawer', 'Trial balance']])('in %s', (lang, dir, drawer, balance) => {
  it('every screen of drawer and reports has its texts, and amounts stay left to right', async () => {
    localStorage.setItem('hanout.lang', lang);
    const { tap, seen, root, till, state, digits, enabled } = await atDrawer({ language: lang, drawers: 3 });
    const look = () => {
      expect(document.documentElement.dir).toBe(dir);
      // An empty place, or a name in braces, is a text that lacks what it should show.
      expect(root.textContent).not.toMatch(/\{\w+\}|undefined|NaN/);
      for (const amount of document.querySelectorAll('.money')) expect((amount.firstElementChild as HTMLElement).dir).toBe('ltr');
      for (const button of document.querySelectorAll('button')) expect(button.textContent || button.getAttribute('aria-label')).not.toBe('');
    };
    await vi.waitFor(() => expect(till.settings.language).toBe(lang));
    expect(root.textContent).toContain(drawer);
    look();
    for (const movement of ['pay-in', 'pay-out', 'drop']) {
      await tap(movement);
      await digits('7');
      await tap('reason-1');
      await enabled('cash-go');
      look();
      await tap('back');
    }
    await tap('no-sale');
    await seen('no-sale-go');
    look();
    await tap('sheet-close');
    await tap('count-drawer');
    await tap('count-go');
    await seen('counted-difference');
    look();
    await tap('counted-done');
    await tap('hand-over');
    await tap('to-Leïla');
    await seen('hand-over-count');
    look();
    await tap('hand-over-no-count');
    await seen('pin-1');
    look();
    for (let n = 0; n < 3; n++) await tap('back');
    await seen('drawer-now');
    await tap('x-report');
    await seen('report-expected');
    look();
    await tap('report-done');
    await tap('back');
    await tap('menu');
    await tap('reports');
    await seen('report-Y1');
    look();
    await tap('report-Y1');
    await seen('perpetual');
    look();
    await tap('back');
    await tap('balance');
    await seen('books');
    expect(root.textContent).toContain(balance);
    look();
    state.go({ at: 'close' });
    await tap('close-shift-go');
    await seen('pin-1');
    look();
  });
});
