import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Approval } from '../bindings/Approval';
import type { Refusal } from '../bindings/Refusal';
import type { UserView } from '../bindings/UserView';
import { parseScaled } from '../shared/format';
import { Icon, Ltr, Pill } from '../shared/parts';
import { Layer, useKeys, useKeysUnderChildren } from './keys';
import { ask, closeSheet, hush, openSheet, sheets, status, toast, wide, type ApprovalAsker } from './state';
import { ageText, codeText, exponent, t, tx } from './texts';

export function Bar({ title, back, children }: { title: ComponentChildren; back: () => void; children?: ComponentChildren }) {
  useKeys((key) => {
    if (key.key !== 'Escape') return false;
    back();
    return true;
  });
  return <header class="bar">
    <button type="button" class="ib" aria-label={t('back')} data-testid="back" onClick={back}><Icon name="back" /></button>
    <h1>{title}</h1>
    {children}
  </header>;
}

/** A panel over the screen. Keys stay in it; Escape and a tap beside it close it. */
export function SheetFrame({ id, title, children, wide }: { id?: number; title: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  const close = () => closeSheet(id);
  useKeysUnderChildren((key) => {
    if (key.key === 'Escape') close();
    return true;
  });
  return <div class={wide ? 'sheet wide' : 'sheet'} role="dialog" aria-modal="true" aria-labelledby={'sheet-title-' + (id || 0)}>
    <div class="sheet-head"><h2 id={'sheet-title-' + (id || 0)}>{title}</h2>
      <button type="button" class="ib" aria-label={t('close')} data-testid="sheet-close" onClick={close}><Icon name="cross" /></button></div>
    {children}
  </div>;
}

export function Sheets() {
  const open = sheets.value;
  if (!open.length) return null;
  return <div class="veil" onClick={(event) => { if (event.target === event.currentTarget) closeSheet(); }}>
    {open.map((sheet, i) => <div key={sheet.id} class={i === open.length - 1 ? 'layer' : 'layer under'}
      onClick={(event) => { if (event.target === event.currentTarget) closeSheet(); }}><Layer.Provider value={i + 1}>{sheet.body()}</Layer.Provider></div>)}
  </div>;
}

const ROWS = [['1', '2', '3'], ['4', '5', '6'], ['7', '8', '9']];

/** Digits, never mirrored. The physical keyboard works as well. */
export function Keypad({ press, corner, small }: { press: (key: string) => void; corner?: string; small?: boolean }) {
  useKeys(({ key }) => {
    if (/^\d$/.test(key) || key === 'Backspace') press(key);
    else if ((key === '.' || key === ',') && corner === '.') press('.');
    else return false;
    return true;
  });
  const last = [corner || '', '0', 'Backspace'];
  return <div class={small ? 'pad small' : 'pad'} dir="ltr">{ROWS.concat([last]).map((row) =>
    <div class="pad-row" key={row[0]}>{row.map((key) => key === ''
      ? <span class="key none" key={key} />
      : <button type="button" key={key} class={key.length > 1 && key !== '00' ? 'key soft' : 'key'} aria-label={key === 'Backspace' ? t('erase') : key}
        data-testid={key === 'Backspace' ? 'key-erase' : 'key-' + key} onClick={() => press(key)}>
        {key === 'Backspace' ? <Icon name="erase" /> : key}</button>)}</div>)}</div>;
}

/** `text` after `key` of a keypad, as digits with at most one separator. */
export function typed(text: string, key: string, max = 10): string {
  if (key === 'Backspace') return text.slice(0, -1);
  if (key === '.' && (text.indexOf('.') >= 0 || !text)) return text ? text : '0.';
  if (text.length + key.length > max) return text;
  return (text === '0' && key !== '.' ? '' : text) + key;
}

/** Typed digits as minor units of the store's currency. */
export function typedMinor(text: string): number | null {
  return parseScaled(text, exponent());
}

/** `refused`: the answer to the last try; a wait counts down here. `hidden`: under a sheet, deaf and without test ids. */
export function PinPad({ ok, refused, hint, hidden }: { ok: (pin: string) => Promise<unknown>; refused?: Refusal | null; hint?: ComponentChildren; hidden?: boolean }) {
  const [pin, setPin] = useState('');
  const [sending, setSending] = useState(false);
  const [until, setUntil] = useState(0);
  const [, tick] = useState(0);
  useEffect(() => {
    if (refused && refused.code === 'pin_wait') setUntil(performance.now() + Number(refused.params.wait_ms));
  }, [refused]);
  const left = until - performance.now();
  useEffect(() => {
    if (left <= 0) return undefined;
    const timer = setTimeout(() => tick((n) => n + 1), 500);
    return () => clearTimeout(timer);
  });
  const dead = sending || left > 0;
  const submit = () => {
    if (!pin || dead) return;
    setSending(true);
    ok(pin).then(() => {
      setSending(false);
      setPin('');
    });
  };
  const press = (key: string) => {
    if (dead || hidden) return;
    setPin((now) => key === 'Backspace' ? now.slice(0, -1) : now.length < 12 ? now + key : now);
  };
  useKeys(({ key }) => {
    if (hidden) return false;
    if (/^\d$/.test(key) || key === 'Backspace') press(key);
    else if (key === 'Enter') submit();
    else return false;
    return true;
  });
  const id = (name: string) => hidden ? undefined : 'pin-' + name;
  const dots = [];
  for (let i = 0; i < Math.max(4, pin.length); i++) dots.push(<i key={i} class={i < pin.length ? 'on' : ''} />);
  return <div class="pin">
    <div class="dots" dir="ltr" data-testid={id('dots')} data-length={pin.length}>{dots}</div>
    <div class="pin-note" role="status">{left > 0 ? tx('pin_wait', { time: <b>{ageText(left + 999)}</b> })
      : refused && refused.code !== 'pin_wait' ? <span class="alert" data-testid="pin-error">{codeText(refused.code, refused.params)}</span> : hint}</div>
    <div class={dead ? 'pad dim' : 'pad'} dir="ltr">{ROWS.concat([['erase', '0', 'ok']]).map((row) => <div class="pad-row" key={row[0]}>{row.map((key) =>
      key === 'ok' ? <button key={key} type="button" class="key go" data-testid={id('ok')} aria-label={t('pin_ok')} disabled={!pin || dead} onClick={submit}><Icon name="check" /></button>
        : key === 'erase' ? <button key={key} type="button" class="key soft" data-testid={id('erase')} aria-label={t('erase')} onClick={() => press('Backspace')}><Icon name="erase" /></button>
          : <button key={key} type="button" class="key" data-testid={id(key)} onClick={() => press(key)}>{key}</button>)}</div>)}</div>
  </div>;
}

function ApprovalSheet({ id, what, why, attempt }: { id: number; what: ComponentChildren; why: Refusal | null; attempt: (approval: Approval) => Promise<Refusal | null> }) {
  const [managers, setManagers] = useState<UserView[] | null>(null);
  const [chosen, setChosen] = useState<UserView | null>(null);
  const [refused, setRefused] = useState<Refusal | null>(null);
  useEffect(() => {
    ask({ type: 'ListUsers' }).then((answer) => {
      if (!answer || !('ok' in answer) || answer.ok.type !== 'Users') return;
      const found = answer.ok.users.filter((user) => user.role === 'manager');
      setManagers(found);
      if (found.length === 1 && found[0]) setChosen(found[0]);
    });
  }, []);
  const user = status.value?.user;
  return <SheetFrame id={id} title={t('approve_title')}>
    <div class="sheet-body">
      <div class="approve-what"><b>{what}</b>
        {user ? <div class="quiet">{tx('approve_for', { name: user.name })}</div> : null}
        {why && why.code !== 'manager_required' ? <div class="quiet">{codeText(why.code, why.params)}</div> : null}</div>
      {managers && !managers.length ? <p class="alert">{t('approve_none')}</p> : null}
      {managers && managers.length > 1 ? <div class="chips" role="group" aria-label={t('approve_who')}>{managers.map((manager) =>
        <button key={manager.user} type="button" class={chosen && chosen.user === manager.user ? 'chip on' : 'chip'} data-testid={'manager-' + manager.name}
          onClick={() => { setChosen(manager); setRefused(null); }}>{manager.name}</button>)}</div> : null}
      {managers && managers.length === 1 && chosen ? <p class="quiet center">{tx('signin_pin', { name: <b>{chosen.name}</b> })}</p> : null}
      {managers && managers.length > 0 ? <div class={chosen ? '' : 'dim'}><PinPad refused={refused} hidden={!chosen}
        ok={(pin) => chosen ? attempt({ user: chosen.user, pin }).then((next) => {
          setRefused(next);
          if (!next) closeSheet(id);
        }) : Promise.resolve()} /></div> : null}
    </div>
  </SheetFrame>;
}

export const askApprovalSheet: ApprovalAsker = (what, why, attempt, cancelled) => {
  let settled = false;
  const id = openSheet(() => <ApprovalSheet id={id} what={what} why={why} attempt={(approval) => attempt(approval).then((refusal) => {
    if (!refusal) settled = true;
    return refusal;
  })} />, () => { if (!settled) cancelled(); });
};

/** How the exchange with head office stands. */
export function SyncPill({ open, compact }: { open: () => void; compact?: boolean }) {
  const sync = status.value?.sync;
  if (!sync) return null;
  let tone: 'ok' | 'wait' | 'bad' = 'ok';
  let words: ComponentChildren = t('sync_online');
  if (sync.state === 'problem') {
    tone = 'bad';
    words = t('sync_problem');
  } else if (sync.state === 'offline') {
    tone = 'wait';
    words = [sync.unsynced ? tx(compact && !wide.value ? 'sync_offline_short' : 'sync_offline_n', { count: sync.unsynced }) : t('sync_offline'),
      sync.oldest_age_ms !== null && sync.oldest_age_ms >= 60000 ? <span class="wide-only">{' '}{tx('sync_since', { time: ageText(sync.oldest_age_ms) })}</span> : null];
  } else if (sync.unsynced) {
    tone = 'wait';
    words = tx('sync_sending', { count: sync.unsynced });
  } else if (sync.state === 'starting') {
    tone = 'wait';
    words = t('sync_starting');
  }
  return <button type="button" class="pill-tap" data-testid="sync-pill" data-state={sync.state} data-unsynced={sync.unsynced} onClick={open}>
    <Pill tone={tone}><span>{words}</span></Pill></button>;
}

/** Amount or count as it is being typed. */
export function Typed({ text, unit, hint }: { text: string; unit?: ComponentChildren; hint?: ComponentChildren }) {
  return <div class={text ? 'typed' : 'typed idle'}><Ltr>{text || hint || '0'}</Ltr>{unit ? <span>{'\u00a0'}{unit}</span> : null}</div>;
}

/** What was just done, or why not. On the sale screen it stands in line, so that it never covers the newest item. */
export function ToastBar({ inline }: { inline?: boolean }) {
  const now = toast.value;
  if (!now) return null;
  const undo = now.undo;
  return <div class={'toast' + (now.bad ? ' bad' : '') + (inline ? ' inline' : '')} role={now.bad ? 'alert' : 'status'} data-testid="toast"><span>{now.text}</span>
    {undo ? <button type="button" data-testid="undo" onClick={() => { hush(); undo(); }}>{t('undo')}</button>
      : <button type="button" class="ib" aria-label={t('close')} onClick={hush}><Icon name="cross" /></button>}</div>;
}
