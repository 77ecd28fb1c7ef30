import { batch, computed, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Answer } from '../bindings/Answer';
import type { Approval } from '../bindings/Approval';
import type { BalanceView } from '../bindings/BalanceView';
import type { CartView } from '../bindings/CartView';
import type { CashMovement } from '../bindings/CashMovement';
import type { Command } from '../bindings/Command';
import type { CompletedView } from '../bindings/CompletedView';
import type { PeriodView } from '../bindings/PeriodView';
import type { ReceiptView } from '../bindings/ReceiptView';
import type { Refusal } from '../bindings/Refusal';
import type { Reply } from '../bindings/Reply';
import type { ReportView } from '../bindings/ReportView';
import type { Status } from '../bindings/Status';
import { retryLang, showLang } from './languages';
import { callOver, Unreachable, type Transport } from './transport';

/** Documents of the stockroom. */
export type GoodsKind = 'receive' | 'adjust' | 'send' | 'arrive';

export type Screen =
  | { at: 'home' } | { at: 'search' } | { at: 'tender' } | { at: 'change'; done: CompletedView }
  | { at: 'receipts' } | { at: 'receipt'; view: ReceiptView } | { at: 'report'; report: ReportView; from: Screen }
  | { at: 'drawer' } | { at: 'cash'; movement: CashMovement } | { at: 'count' } | { at: 'handover' } | { at: 'close' }
  | { at: 'reports' } | { at: 'period'; period: PeriodView } | { at: 'balance'; balance: BalanceView; from: Screen }
  | { at: 'stock' } | { at: 'goods'; kind: GoodsKind } | { at: 'stockcount' }
  | { at: 'system' } | { at: 'settings' } | { at: 'prints' };
export type View = 'boot' | 'enrol' | 'signin' | 'openshift' | 'sale' | Exclude<Screen['at'], 'home'>;

export interface Toast {
  text: ComponentChildren;
  bad?: boolean;
  undo?: () => void;
}
export interface Sheet {
  id: number;
  body: () => ComponentChildren;
  closed?: (() => void) | undefined;
}

export const status = signal<Status | null>(null);
export const cart = signal<CartView | null>(null);
export const screen = signal<Screen>({ at: 'home' });
export const sheets = signal<Sheet[]>([]);
export const toast = signal<Toast | null>(null);
/** The refusal of the last scan; stays until a good scan or a tap. */
export const scanRefusal = signal<Refusal | null>(null);
/** Where scanned codes go on a screen that wants them for itself. */
export const scanTo = signal<((code: string) => void) | null>(null);
/** The line that keys and the keypad act on. */
export const selected = signal<number | null>(null);
/** Digits typed on the sale screen's keypad. */
export const entry = signal('');
/** A screen wide enough for the cart and the catalogue side by side. */
export const wide = signal(false);
/** The door: fine, silent, or without its key. */
export const trouble = signal<'' | 'silent' | 'token'>('');
/** True while a sale is being completed: its buttons are dead. */
export const completing = signal(false);

/** Screens that mean something only while the drawer in use has an open shift. */
const IN_SHIFT: Screen['at'][] = ['home', 'search', 'tender', 'change', 'cash', 'count', 'handover', 'close'];

/** What is on screen: a till without enrolment, user or shift shows that first. */
export const view = computed<View>(() => {
  const now = status.value;
  if (!now) return 'boot';
  if (now.enrolment.state !== 'enrolled' || !now.ready) return 'enrol';
  if (!now.user) return 'signin';
  const at = screen.value.at;
  if (!now.shift && IN_SHIFT.indexOf(at) >= 0) return 'openshift';
  return at === 'home' ? 'sale' : at;
});

const GUARD_MS = 250;
let guardEnd = 0;
let guardTimer = 0;

/** Taps are dead for a moment after the screen changed: the second half of a double tap must not press what came up. */
export function guardTaps(): void {
  guardEnd = performance.now() + GUARD_MS;
  document.documentElement.setAttribute('data-guard', '');
  clearTimeout(guardTimer);
  guardTimer = window.setTimeout(() => document.documentElement.removeAttribute('data-guard'), GUARD_MS);
}
export function tapsGuarded(): boolean {
  return performance.now() < guardEnd;
}

export function go(next: Screen): void {
  batch(() => {
    screen.value = next;
    entry.value = '';
    scanRefusal.value = null;
  });
}

let toastTimer = 0;
export function say(next: Toast): void {
  toast.value = next;
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => { toast.value = null; }, 5000);
}
export function hush(): void {
  clearTimeout(toastTimer);
  toast.value = null;
}

let sheetIds = 0;
export function openSheet(body: () => ComponentChildren, closed?: () => void): number {
  sheetIds += 1;
  sheets.value = sheets.value.concat([{ id: sheetIds, body, closed }]);
  hush();
  guardTaps();
  return sheetIds;
}
/** Closes the sheet, and those above it. */
export function closeSheet(id?: number): void {
  const open = sheets.value;
  let from = open.length - 1;
  if (id !== undefined) {
    from = -1;
    open.forEach((sheet, i) => { if (sheet.id === id) from = i; });
  }
  if (from < 0) return;
  sheets.value = open.slice(0, from);
  open.slice(from).forEach((sheet) => { if (sheet.closed) sheet.closed(); });
}
export function closeSheets(): void {
  const first = sheets.value[0];
  if (first) closeSheet(first.id);
}

let transport: Transport | null = null;
let queue: Promise<unknown> = Promise.resolve();

let sent = 0;
let newestStatus = 0;

/** Takes an answer in. A status that was asked for before the one that is shown would turn time back. */
function heard(reply: Reply, nth: number): void {
  batch(() => {
    if (reply.type === 'Status') {
      if (nth < newestStatus) return;
      newestStatus = nth;
      status.value = reply;
    } else if (reply.type === 'Cart') {
      setCart(reply);
    } else if (reply.type === 'Completed') {
      setCart(reply.next);
    }
  });
}

function setCart(next: CartView): void {
  cart.value = next;
  const last = next.lines[next.lines.length - 1];
  const has = (line: number | null) => next.lines.some((row) => row.line === line);
  selected.value = has(next.touched) ? next.touched : has(selected.value) ? selected.value : last ? last.line : null;
}

function send(command: Command): Promise<Answer | null> {
  if (!transport) return Promise.resolve(null);
  sent += 1;
  const nth = sent;
  return callOver(transport, command, (on) => { if (!on) trouble.value = ''; else if (!trouble.value) trouble.value = 'silent'; }).then(
    (answer) => {
      if ('ok' in answer) heard(answer.ok, nth);
      return answer;
    },
    (error) => {
      trouble.value = error instanceof Unreachable && error.token ? 'token' : 'silent';
      return null;
    },
  );
}

/** Asks the till; null when no answer came, which a banner says by itself. Commands go out one after the other. */
export function ask(command: Command): Promise<Answer | null> {
  // Reading does not wait behind a sale that is being written.
  if (command.type === 'Status' || command.type === 'Search') return send(command);
  const next = queue.then(() => send(command));
  queue = next;
  return next;
}

let explain: (refusal: Refusal) => ComponentChildren = (refusal) => refusal.code;
/** Tells how refusals become text; set by the catalogue, which itself needs the state. */
export function explainWith(text: (refusal: Refusal) => ComponentChildren): void {
  explain = text;
}
export function sayRefusal(refusal: Refusal): void {
  say({ text: explain(refusal), bad: true });
}

/** Asks and shows a refusal; null when nothing came of it. */
export function run(command: Command): Promise<Reply | null> {
  return ask(command).then((answer) => {
    if (!answer) return null;
    if ('ok' in answer) return answer.ok;
    sayRefusal(answer.refused);
    return null;
  });
}

export type ApprovalAsker = (
  what: ComponentChildren, why: Refusal | null, attempt: (approval: Approval) => Promise<Refusal | null>, cancelled: () => void,
) => void;
let askApproval: ApprovalAsker | null = null;
export function approveWith(asker: ApprovalAsker): void {
  askApproval = asker;
}

const NEEDS_MANAGER = ['manager_required', 'discount_approval_required', 'date_approval_required', 'difference_approval_required', 'cash_ceiling_approval_required'];

/**
 * Asks for something that may need a manager: first without, then, when refused for that reason, with the
 * approval that a sheet collects. `always` skips the first try.
 */
export function runApproved(make: (approval: Approval | null) => Command, what: ComponentChildren, always = false): Promise<Reply | null> {
  if (always) return approve({ refused: { code: 'manager_required', params: {} } }, make, what);
  return ask(make(null)).then((answer) => approve(answer, make, what));
}

/** The same for whoever has the first answer already. */
export function approve(answer: Answer | null, make: (approval: Approval) => Command, what: ComponentChildren): Promise<Reply | null> {
  if (!answer) return Promise.resolve(null);
  if ('ok' in answer) return Promise.resolve(answer.ok);
  const refused = answer.refused;
  const asker = askApproval;
  if (NEEDS_MANAGER.indexOf(refused.code) < 0 || !asker) {
    sayRefusal(refused);
    return Promise.resolve(null);
  }
  return new Promise<Reply | null>((settle) => {
    asker(what, refused, (approval) => ask(make(approval)).then((second) => {
      if (!second) return null;
      if ('refused' in second) return second.refused;
      settle(second.ok);
      return null;
    }), () => settle(null));
  });
}

let asking = false;
export function refresh(): Promise<void> {
  if (asking) return Promise.resolve();
  asking = true;
  return ask({ type: 'Status' }).then(() => {
    asking = false;
    const now = status.value;
    if (now && !now.user) {
      if (cart.value) cart.value = null;
      if (screen.value.at !== 'home') go({ at: 'home' });
    } else if (now && now.shift && !cart.value) {
      return ask({ type: 'GetCart' }).then(() => undefined);
    }
    return undefined;
  });
}

const POLL_MS = 3000;

export function start(over: Transport): void {
  transport = over;
  let adopted = false;
  const poll = () => refresh().then(() => {
    const now = status.value;
    if (!adopted && now) {
      adopted = true;
      if (now.enrolment.state === 'enrolled') return showLang(now.language);
    }
    retryLang();
    return undefined;
  });
  poll();
  setInterval(poll, POLL_MS);
  let soon = 0;
  over.listen(() => {
    clearTimeout(soon);
    soon = window.setTimeout(poll, 120);
  });
}
