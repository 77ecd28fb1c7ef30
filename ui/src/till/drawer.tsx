import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Approval } from '../bindings/Approval';
import type { CashMovement } from '../bindings/CashMovement';
import type { CountView } from '../bindings/CountView';
import type { Pieces } from '../bindings/Pieces';
import type { Refusal } from '../bindings/Refusal';
import type { ShiftView } from '../bindings/ShiftView';
import type { UserView } from '../bindings/UserView';
import { formatTime } from '../shared/format';
import { Icon, Ltr, type IconName } from '../shared/parts';
import { Bar, Keypad, PinPad, SheetFrame, SyncPill, typed, Typed, typedMinor } from './controls';
import { Person } from './entry';
import { useKeys } from './keys';
import { openSyncSheet } from './menu';
import { Fact } from './reports';
import { CurrencySymbol } from './sale';
import { approve, ask, cart, closeSheet, go, openSheet, refresh, run, runApproved, say, status } from './state';
import { codeText, Face, Money, t, tx, type TillKey } from './texts';

/** Counts a drawer by denomination. The sum shown only reads back what was typed: the till's own count decides. */
function Count({ hint, go: submit, goText, goId, dead }: { hint: ComponentChildren; go: (count: Pieces[], counted: number) => void; goText: (counted: number) => ComponentChildren; goId: string; dead: boolean }) {
  const faces = (status.value?.store?.currency.denominations_minor || []).slice().reverse();
  const [pieces, setPieces] = useState<Record<number, string>>({});
  const [at, setAt] = useState(0);
  const counted = faces.reduce((sum, face) => sum + face * Number(pieces[face] || 0), 0);
  const current = faces[at];
  const put = (face: number, text: string) => setPieces((all) => ({ ...all, [face]: text }));
  const move = (by: number) => setAt((now) => Math.min(faces.length - 1, Math.max(0, now + by)));
  const press = (key: string) => {
    if (current === undefined) return;
    const now = pieces[current] || '';
    put(current, key === 'Backspace' ? now.slice(0, -1) : (now + key).replace(/^0+(?=\d)/, '').slice(0, 5));
  };
  useKeys(({ key }) => {
    if (key === 'ArrowDown' || key === 'Enter') move(1);
    else if (key === 'ArrowUp') move(-1);
    else return false;
    return true;
  });
  useEffect(() => {
    const row = document.querySelector('.count-row.on');
    if (row && row.scrollIntoView) row.scrollIntoView({ block: 'nearest' });
  }, [at]);
  const count = faces.filter((face) => Number(pieces[face] || 0) > 0).map((face) => ({ denomination_minor: face, pieces: Number(pieces[face]) }));
  return <main class="count">
    <div class="count-list"><div class="quiet lead">{hint}</div><ul>{faces.map((face, i) => {
      const n = Number(pieces[face] || 0);
      return <li key={face} class={i === at ? 'count-row on' : 'count-row'}>
        <button type="button" class="count-face" onClick={() => setAt(i)} data-testid={'count-' + face}><b><Face minor={face} /></b><span class="quiet">{n ? <Money minor={face * n} /> : null}</span></button>
        <div class="step" dir="ltr">
          <button type="button" aria-label={t('take_one')} disabled={n === 0} onClick={() => { setAt(i); put(face, n > 1 ? String(n - 1) : ''); }}><Icon name="minus" /></button>
          <button type="button" class={n ? 'step-n' : 'step-n idle'} onClick={() => setAt(i)}>{n}</button>
          <button type="button" aria-label={t('add_one')} data-testid={'count-' + face + '-plus'} onClick={() => { setAt(i); put(face, String(n + 1)); }}><Icon name="plus" /></button>
        </div></li>;
    })}</ul></div>
    <div class="count-side">
      <div class="count-total"><span class="quiet">{t('count_total')}</span><b data-testid="count-total"><Money minor={counted} /></b></div>
      <Keypad press={press} small />
      <div class="count-go"><button type="button" class="btn" onClick={() => move(1)}>{t('count_next')}</button>
        <button type="button" class="btn go tall" data-testid={goId} disabled={dead} onClick={() => submit(count, counted)}><span>{goText(counted)}</span></button></div>
    </div>
  </main>;
}


/** Drawers of this till to sell from; nothing where there is only one. */
function Drawers() {
  const now = status.value;
  const many = now && now.store ? now.store.drawers : 1;
  if (!now || many < 2) return null;
  const drawers = [];
  for (let n = 1; n <= many; n++) drawers.push(n);
  const shiftOf = (drawer: number) => now.shifts.filter((shift) => shift.drawer === drawer)[0];
  return <div class="drawers" role="group" aria-label={t('drawer_choose')}>{drawers.map((drawer) => {
    const shift = shiftOf(drawer);
    const on = drawer === now.drawer;
    return <button key={drawer} type="button" class={on ? 'drawer-tab on' : 'drawer-tab'} aria-pressed={on} data-testid={'drawer-' + drawer}
      onClick={() => { if (!on) run({ type: 'UseDrawer', drawer }).then(() => refresh()); }}>
      <b>{tx('drawer_n', { drawer: <Ltr>{drawer}</Ltr> })}</b><span class="quiet">{shift ? shift.holder_name : t('drawer_closed')}</span></button>;
  })}</div>;
}

function since(shift: ShiftView): ComponentChildren {
  return tx('shift_since', { time: <Ltr>{formatTime(shift.opened_at)}</Ltr>, name: shift.opened_by });
}

export function OpenShift({ menu }: { menu: () => void }) {
  const [sent, setSent] = useState(false);
  const now = status.value;
  if (!now) return null;
  return <div class="app">
    <header class="bar"><button type="button" class="ib" aria-label={t('menu')} data-testid="menu" onClick={menu}><Icon name="menu" /></button>
      <h1>{t('shift_open_title')}</h1><span class="quiet bar-note">{now.user ? now.user.name : null}</span><SyncPill compact open={openSyncSheet} /></header>
    <Count key={now.drawer} hint={[<Drawers />, t('shift_open_hint')]} dead={sent} goId="open-shift-go" goText={(counted) => tx('shift_open_go', { amount: <Money minor={counted} /> })}
      go={(count) => {
        setSent(true);
        runApproved((approval) => ({ type: 'OpenShift', count, drawer: now.drawer, approval }), t('approve_open')).then(() => refresh()).then(() => setSent(false));
      }} />
  </div>;
}

function BlindBody({ id, refused, sign }: { id: number; refused: Refusal; sign: () => void }) {
  return <SheetFrame id={id} title={t('blind_title')}><div class="sheet-body">
    <p class="lead" data-testid="blind-differs">{codeText(refused.code, refused.params)}</p>
    <div class="stack"><button type="button" class="btn go wide tall" data-testid="blind-recount" onClick={() => closeSheet(id)}>{t('blind_recount')}</button>
      <button type="button" class="btn wide" data-testid="blind-sign" onClick={sign}><Icon name="key" />{t('blind_sign')}</button></div>
  </div></SheetFrame>;
}

export function CloseShift() {
  const [sent, setSent] = useState(false);
  const now = status.value;
  if (!now || !now.shift) return null;
  const close = (count: Pieces[]) => {
    setSent(true);
    const make = (approval: Approval | null) => ({ type: 'CloseShift' as const, count, approval });
    const closed = (asked: ReturnType<typeof run>) => asked.then((reply) => {
      if (reply && reply.type === 'Report') go({ at: 'report', report: reply, from: { at: 'home' } });
      refresh();
    });
    ask(make(null)).then((answer) => {
      setSent(false);
      if (!answer || 'ok' in answer || answer.refused.code !== 'blind_count_differs') return closed(approve(answer, make, t('approve_close')));
      const refused = answer.refused;
      const id = openSheet(() => <BlindBody id={id} refused={refused} sign={() => {
        closeSheet(id);
        closed(runApproved(make, t('approve_close'), true));
      }} />);
      return refresh();
    });
  };
  return <div class="app">
    <Bar title={t('shift_close_title')} back={() => go({ at: 'drawer' })}><span class="quiet bar-note">{since(now.shift)}</span></Bar>
    {now.parked ? <p class="note wait">{tx('shift_close_parked', { count: now.parked })}</p> : null}
    <Count hint={t('shift_close_hint')} dead={sent} goId="close-shift-go" goText={(counted) => tx('shift_close_go', { amount: <Money minor={counted} /> })} go={close} />
  </div>;
}

/** Why, from a few usual reasons or in words of one's own. */
function Reasons({ keys, text, set }: { keys: TillKey[]; text: string; set: (text: string) => void }) {
  return <div class="reasons"><div class="chips" role="group" aria-label={t('reason')}>{keys.map((key, i) => <button key={key} type="button" class={text === t(key) ? 'chip on' : 'chip'} aria-pressed={text === t(key)}
    data-testid={'reason-' + i} onClick={() => set(t(key))}>{t(key)}</button>)}</div>
  <input class="input" dir="auto" maxLength={80} data-testid="reason" autocomplete="off" aria-label={t('reason')} placeholder={t('reason_other')} value={text} onInput={(event) => set(event.currentTarget.value)} /></div>;
}

const MOVEMENTS: Record<CashMovement, { title: TillKey; hint: TillKey; go: TillKey; why: TillKey[] }> = {
  pay_in: { title: 'pay_in', hint: 'pay_in_hint', go: 'pay_in_go', why: ['why_change_bank', 'why_found', 'why_advance'] },
  pay_out: { title: 'pay_out', hint: 'pay_out_hint', go: 'pay_out_go', why: ['why_supplies', 'why_transport', 'why_cleaning'] },
  drop: { title: 'drop', hint: 'drop_hint', go: 'drop_go', why: ['why_too_much', 'why_end_of_day'] },
};

const toDrawer = () => go({ at: 'drawer' });

export function Cash({ movement }: { movement: CashMovement }) {
  const [text, setText] = useState('');
  const [reason, setReason] = useState('');
  const [sent, setSent] = useState(false);
  const { title, hint, go: goText, why } = MOVEMENTS[movement];
  const minor = typedMinor(text) || 0;
  const submit = () => {
    setSent(true);
    const why_ = reason.trim();
    runApproved((approval) => ({ type: 'MoveCash', movement, amount_minor: minor, reason: why_, approval }), tx('approve_pay_out', { amount: <Money minor={minor} />, reason: <bdi>{why_}</bdi> })).then((reply) => {
      setSent(false);
      if (!reply || reply.type !== 'Slip') return;
      toDrawer();
      say({ text: tx('slip_done', { number: <Ltr>{reply.number}</Ltr> }) });
      refresh();
    });
  };
  return <div class="app"><Bar title={t(title)} back={toDrawer} />
    <main class="cash">
      <div class="cash-say"><p class="quiet">{t(hint)}</p><Reasons keys={why} text={reason} set={setReason} /></div>
      <div class="cash-pad"><Typed text={text} unit={<CurrencySymbol />} />
        <Keypad press={(key) => setText((now) => typed(now, key, 12))} corner="." small />
        <button type="button" class="btn go wide tall" data-testid="cash-go" disabled={sent || !minor || !reason.trim()} onClick={submit}><span>{tx(goText, { amount: <Money minor={minor} /> })}</span></button></div>
    </main></div>;
}

function NoSaleBody({ id }: { id: number }) {
  const [reason, setReason] = useState('');
  const open = () => {
    closeSheet(id);
    run({ type: 'OpenDrawer', reason: reason.trim() }).then((reply) => {
      if (reply) say({ text: t('drawer_opened') });
      refresh();
    });
  };
  return <SheetFrame id={id} title={t('no_sale')}><div class="sheet-body">
    <p class="quiet">{t('no_sale_hint')}</p>
    <Reasons keys={['why_make_change', 'why_check', 'why_forgotten']} text={reason} set={setReason} />
    <button type="button" class="btn go wide tall" data-testid="no-sale-go" disabled={!reason.trim()} onClick={open}><Icon name="drawer" />{t('open_drawer')}</button>
  </div></SheetFrame>;
}

function CountedBody({ id, view }: { id: number; view: CountView }) {
  const off = view.difference_minor;
  return <SheetFrame id={id} title={t('counted_title')}><div class="sheet-body">
    <Fact label={t('report_counted')}><span data-testid="counted" data-minor={view.counted_minor}><Money minor={view.counted_minor} /></span></Fact>
    {view.expected_minor !== null ? <Fact label={t('report_expected')}><Money minor={view.expected_minor} /></Fact> : null}
    {off !== null ? <Fact strong label={off === 0 ? t('report_balanced') : off > 0 ? t('report_over') : t('report_short')}><span data-testid="counted-difference" data-minor={off}><Money minor={off} sign /></span></Fact>
      : <p class="note" data-testid="counted-blind">{t('counted_blind')}</p>}
    <button type="button" class="btn go wide tall counted-done" data-testid="counted-done" onClick={() => closeSheet(id)}>{t('done')}</button>
  </div></SheetFrame>;
}

export function CountDrawer() {
  const [sent, setSent] = useState(false);
  return <div class="app"><Bar title={t('count_drawer')} back={toDrawer} />
    <Count hint={t('count_hint')} dead={sent} goId="count-go" goText={(counted) => tx('count_go', { amount: <Money minor={counted} /> })} go={(count) => {
      setSent(true);
      run({ type: 'CountDrawer', count }).then((reply) => {
        setSent(false);
        if (!reply || reply.type !== 'Counted') return;
        toDrawer();
        const id = openSheet(() => <CountedBody id={id} view={reply} />);
        refresh();
      });
    }} /></div>;
}

export function HandOver() {
  const [users, setUsers] = useState<UserView[]>([]);
  const [to, setTo] = useState<UserView | null>(null);
  const [step, setStep] = useState<'who' | 'how' | 'count' | 'sign'>('who');
  const [count, setCount] = useState<{ pieces: Pieces[]; counted: number } | null>(null);
  const [refused, setRefused] = useState<Refusal | null>(null);
  useEffect(() => {
    run({ type: 'ListUsers' }).then((reply) => { if (reply && reply.type === 'Users') setUsers(reply.users); });
  }, []);
  const holder = status.value?.shift?.holder;
  const back = () => {
    setRefused(null);
    if (step === 'who') toDrawer();
    else setStep(step === 'how' ? 'who' : 'how');
  };
  const sign = (pin: string) => to ? ask({ type: 'HandOver', to: to.user, pin, count: count ? count.pieces : null }).then((answer) => {
    if (!answer) return undefined;
    if ('refused' in answer) {
      setRefused(answer.refused);
      return undefined;
    }
    cart.value = null;
    return refresh().then(() => {
      go({ at: 'home' });
      say({ text: tx('hand_over_done', { name: to.name }) });
    });
  }) : Promise.resolve();
  return <div class="app"><Bar title={t('hand_over')} back={back}>{to && step !== 'who' ? <span class="quiet bar-note">{to.name}</span> : null}</Bar>
    {step === 'count' ? <Count hint={t('hand_over_count_hint')} dead={false} goId="hand-over-counted" goText={(counted) => tx('hand_over_count_go', { amount: <Money minor={counted} /> })}
      go={(pieces, counted) => { setCount({ pieces, counted }); setStep('sign'); }} />
      : <main class="scroll narrow">
        {step === 'who' ? <div><p class="quiet lead">{t('hand_over_hint')}</p><h2>{t('hand_over_who')}</h2><div class="people">{users.filter((user) => user.user !== holder).map((user) =>
          <Person key={user.user} user={user} prefix="to-" pick={() => { setTo(user); setStep('how'); }} />)}</div></div> : null}
        {step === 'how' && to ? <div class="stack"><h2>{to.name}</h2>
          <button type="button" class="btn wide tall" data-testid="hand-over-count" onClick={() => setStep('count')}><Icon name="drawer" />{t('hand_over_count')}</button>
          <button type="button" class="btn wide tall" data-testid="hand-over-no-count" onClick={() => { setCount(null); setStep('sign'); }}>{t('hand_over_no_count')}</button></div> : null}
        {step === 'sign' && to ? <div class="center">{count ? <p class="quiet">{tx('hand_over_counted', { amount: <Money minor={count.counted} /> })}</p> : null}
          <p class="pin-who"><b>{tx('hand_over_sign', { name: to.name })}</b></p><PinPad refused={refused} ok={sign} /></div> : null}
      </main>}
  </div>;
}

function Act({ icon, id, act, children }: { icon: IconName; id: string; act: () => void; children: ComponentChildren }) {
  return <button type="button" class="act" data-testid={id} onClick={act}><Icon name={icon} /><span>{children}</span></button>;
}

/** All that is done with the money of a drawer, apart from selling. */
export function Drawer() {
  const now = status.value;
  if (!now) return null;
  const shift = now.shift;
  const x = () => runApproved((approval) => ({ type: 'XReport', print: false, approval }), t('approve_x')).then((reply) => {
    if (reply && reply.type === 'Report') go({ at: 'report', report: reply, from: { at: 'drawer' } });
  });
  return <div class="app"><Bar title={t('drawer_title')} back={() => go({ at: 'home' })} />
    <main class="scroll narrow">
      <Drawers />
      {shift ? <div class="drawer-now" data-testid="drawer-now"><b>{tx('drawer_n', { drawer: <Ltr>{shift.drawer}</Ltr> })}</b>
        <span class="quiet">{since(shift)}</span><span class="quiet" data-testid="drawer-holder">{tx('drawer_held', { name: shift.holder_name })}</span></div>
        : <div class="drawer-now"><p class="lead">{t('drawer_none')}</p>
          <button type="button" class="btn go wide" data-testid="drawer-open" onClick={() => go({ at: 'home' })}>{t('drawer_open_shift')}</button></div>}
      {shift ? <div class="acts">
        <Act icon="plus" id="pay-in" act={() => go({ at: 'cash', movement: 'pay_in' })}>{t('pay_in')}</Act>
        <Act icon="minus" id="pay-out" act={() => go({ at: 'cash', movement: 'pay_out' })}>{t('pay_out')}</Act>
        <Act icon="safe" id="drop" act={() => go({ at: 'cash', movement: 'drop' })}>{t('drop')}</Act>
        <Act icon="drawer" id="no-sale" act={() => { const id = openSheet(() => <NoSaleBody id={id} />); }}>{t('no_sale')}</Act>
        <Act icon="coins" id="count-drawer" act={() => go({ at: 'count' })}>{t('count_drawer')}</Act>
        <Act icon="people" id="hand-over" act={() => go({ at: 'handover' })}>{t('hand_over')}</Act>
        <Act icon="chart" id="x-report" act={x}>{t('x_report')}</Act>
        <Act icon="lock" id="drawer-close" act={() => go({ at: 'close' })}>{t('shift_close_title')}</Act>
      </div> : null}
    </main></div>;
}
