import { useEffect, useState } from 'preact/hooks';
import type { Approval } from '../bindings/Approval';
import type { Refusal } from '../bindings/Refusal';
import type { UserView } from '../bindings/UserView';
import { nameOf } from '../shared/i18n';
import { Empty, Icon, Langs, Ltr } from '../shared/parts';
import { setLang } from './actions';
import { PinPad, SheetFrame, SyncPill } from './controls';
import { useKeys } from './keys';
import { openSyncSheet } from './menu';
import { ask, closeSheet, openSheet, refresh, run, runApproved, say, sheets, status, wide } from './state';
import { codeText, t, tx } from './texts';

const langNames = () => wide.value ? { fr: t('lang_fr'), ar: t('lang_ar'), en: t('lang_en') } : { fr: 'FR', ar: 'ع', en: 'EN' };

function Mark() {
  return <span class="mark" aria-hidden="true"><Icon name="store" /></span>;
}

export function Boot() {
  return <div class="app center-all"><Mark /><p class="quiet">{t('loading')}</p></div>;
}

export function Enrol() {
  const [server, setServer] = useState('');
  const [code, setCode] = useState('');
  const [refused, setRefused] = useState<Refusal | null>(null);
  const [sent, setSent] = useState(false);
  const now = status.value;
  if (!now) return null;
  const stage = now.enrolment;
  const ready = server.trim() !== '' && code.trim() !== '' && !sent;
  const submit = (event: Event) => {
    event.preventDefault();
    if (!ready) return;
    setSent(true);
    setRefused(null);
    ask({ type: 'Enrol', server: server.trim(), code: code.trim() }).then((answer) => {
      setSent(false);
      if (answer && 'refused' in answer) setRefused(answer.refused);
      refresh();
    });
  };
  const failed = refused || (stage.state === 'failed' ? stage : null);
  return <div class="app">
    <header class="bar plain"><Mark /><h1>{'Hanout'}</h1><Langs names={langNames()} pick={setLang} /></header>
    <main class="card-page"><div class="card">
      {stage.state === 'none' || stage.state === 'failed' ? <form onSubmit={submit}>
        <h2>{t('enrol_title')}</h2>
        <p class="quiet lead">{t('enrol_hint')}</p>
        <label class="field"><span>{t('enrol_server')}</span>
          <input data-testid="enrol-server" dir="ltr" type="url" autocomplete="off" spellcheck={false} placeholder="https://" value={server} onInput={(event) => setServer(event.currentTarget.value)} /></label>
        <label class="field"><span>{t('enrol_code')}</span>
          <input data-testid="enrol-code" dir="ltr" autocomplete="off" autocapitalize="characters" spellcheck={false} value={code} onInput={(event) => setCode(event.currentTarget.value)} /></label>
        {failed ? <p class="alert lead" role="alert" data-testid="enrol-error">{codeText(failed.code, 'params' in failed ? failed.params : {})}</p> : null}
        <button type="submit" class="btn go wide tall" data-testid="enrol-go" disabled={!ready}>{t('enrol_go')}</button>
      </form> : null}
      {stage.state === 'asking' ? <div class="center"><div class="working" /><h2>{t('enrol_asking')}</h2></div> : null}
      {stage.state === 'pending' ? <div class="center">
        <h2>{t('enrol_pending')}</h2>
        <p class="finger" data-testid="enrol-fingerprint"><Ltr>{stage.fingerprint.replace(/^(\d{3})(\d{3})$/, '$1 $2')}</Ltr></p>
        <p class="quiet">{t('enrol_pending_hint')}</p>
      </div> : null}
      {stage.state === 'enrolled' ? <div class="center"><div class="working" />
        <h2>{t('enrol_receiving')}</h2><p class="quiet">{tx('enrol_received', { count: now.variants })}</p></div> : null}
    </div></main>
  </div>;
}

function UnblockBody({ id, user }: { id: number; user: UserView }) {
  return <SheetFrame id={id} title={t('pin_blocked')}>
    <div class="sheet-body">
      <p class="lead">{tx('pin_blocked_hint', { name: <b>{user.name}</b> })}</p>
      <button type="button" class="btn go wide" data-testid="unblock-go" onClick={() => {
        closeSheet(id);
        runApproved((approval) => ({ type: 'Unblock', user: user.user, approval: approval as Approval }), tx('unblock', { name: user.name }), true)
          .then((reply) => {
            if (reply) say({ text: tx('unblocked', { name: user.name }) });
            unblocked.forEach((tell) => tell());
          });
      }}>{t('approve_title')}</button>
    </div>
  </SheetFrame>;
}

const unblocked: (() => void)[] = [];

function ResetPinBody({ id }: { id: number }) {
  const [users, setUsers] = useState<UserView[]>([]);
  const [user, setUser] = useState<UserView | null>(null);
  const [first, setFirst] = useState('');
  const [differs, setDiffers] = useState(false);
  useEffect(() => {
    run({ type: 'ListUsers' }).then((reply) => { if (reply && reply.type === 'Users') setUsers(reply.users); });
  }, []);
  return <SheetFrame id={id} title={t('reset_pin')}>
    <div class="sheet-body">
      {!user ? <div><p class="quiet lead">{t('reset_pin_who')}</p><div class="people">{users.map((one) =>
        <Person key={one.user} user={one} prefix="reset-" pick={() => setUser(one)} />)}</div></div>
        : <div class="center"><p><b>{first ? t('reset_pin_again') : tx('reset_pin_new', { name: user.name })}</b></p>
          <PinPad hidden={(sheets.value[sheets.value.length - 1] || { id: 0 }).id !== id} hint={differs ? <span class="alert">{t('reset_pin_differs')}</span> : t('reset_pin_rule')} ok={(pin) => {
            if (!first) {
              setFirst(pin);
              setDiffers(false);
            } else if (first !== pin) {
              setFirst('');
              setDiffers(true);
            } else {
              runApproved((approval) => ({ type: 'ResetPin', user: user.user, new_pin: pin, approval: approval as Approval }), tx('reset_pin_new', { name: user.name }), true)
                .then((reply) => {
                  if (reply) {
                    closeSheet(id);
                    say({ text: tx('reset_pin_done', { name: user.name }) });
                  } else setFirst('');
                });
            }
            return Promise.resolve();
          }} /></div>}
    </div>
  </SheetFrame>;
}

export function openResetPin(): void {
  const id = openSheet(() => <ResetPinBody id={id} />);
}

export function Person({ user, pick, prefix, on }: { user: UserView; pick: () => void; prefix?: string; on?: boolean }) {
  return <button type="button" class={on ? 'person on' : 'person'} data-testid={(prefix || 'user-') + user.name} onClick={pick}>
    <span class="face" aria-hidden="true">{user.name.charAt(0)}</span>
    <span class="who"><b>{user.name}</b><span class="quiet">{user.blocked ? t('pin_blocked') : user.role === 'manager' ? t('role_manager') : t('role_cashier')}</span></span>
    {user.blocked ? <Icon name="lock" /> : null}
  </button>;
}

export function SignIn() {
  const [users, setUsers] = useState<UserView[] | null>(null);
  const [user, setUser] = useState<UserView | null>(null);
  const [refused, setRefused] = useState<Refusal | null>(null);
  const load = () => {
    ask({ type: 'ListUsers' }).then((answer) => {
      if (answer && 'ok' in answer && answer.ok.type === 'Users') setUsers(answer.ok.users);
    });
  };
  useEffect(() => {
    load();
    unblocked.push(load);
    return () => { unblocked.splice(unblocked.indexOf(load), 1); };
  }, []);
  useKeys((key) => {
    if (key.key !== 'Escape' || !user) return false;
    setUser(null);
    return true;
  });
  const askUnblock = (who: UserView) => {
    const id = openSheet(() => <UnblockBody id={id} user={who} />);
  };
  const choose = (who: UserView) => {
    setRefused(null);
    if (who.blocked) askUnblock(who);
    else setUser(who);
  };
  const store = status.value?.store;
  return <div class="app">
    <header class="bar plain"><Mark /><h1 class="two"><b>{store ? nameOf(store.name) : 'Hanout'}</b>
      {store ? <span class="quiet">{store.chain}{' · '}{tx('till_no', { till: <Ltr>{status.value?.till}</Ltr> })}</span> : null}</h1><Langs names={langNames()} pick={setLang} /></header>
    <main class="signin">
      <section class={user ? 'signin-people behind' : 'signin-people'}>
        <h2>{t('signin_who')}</h2>
        {users && !users.length ? <Empty icon="lock" title={t('signin_nobody')} /> : null}
        <div class="people">{(users || []).map((one) => <Person key={one.user} user={one} on={!!user && user.user === one.user} pick={() => choose(one)} />)}</div>
      </section>
      <section class={user ? 'signin-pin' : 'signin-pin behind'}>
        {user ? <div class="center">
          <p class="pin-who">{tx('signin_pin', { name: <b>{user.name}</b> })}</p>
          <PinPad key={user.user} refused={refused} hidden={sheets.value.length > 0} ok={(pin) => ask({ type: 'SignIn', user: user.user, pin }).then((answer) => {
            if (!answer) return undefined;
            if ('refused' in answer) {
              setRefused(answer.refused);
              if (answer.refused.code === 'pin_blocked') {
                setUser(null);
                load();
                askUnblock(user);
              }
              return undefined;
            }
            return refresh();
          })} />
          <div class="signin-links"><button type="button" class="link narrow-only" onClick={() => setUser(null)}>{t('signin_other')}</button>
            <button type="button" class="link" data-testid="pin-forgotten" onClick={openResetPin}>{t('pin_forgotten')}</button></div>
        </div> : <Empty icon="lock">{t('signin_who')}</Empty>}
      </section>
    </main>
    <footer class="foot thin"><SyncPill open={openSyncSheet} /></footer>
  </div>;
}
