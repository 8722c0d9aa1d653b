import { isRunning } from '../../../harness/processes.js'
import { isAtWork, OPEN_FOLDERS, SECRET, type Victim } from '../../support/opponents.js'

/** One thing that a function tries against another. */
export interface Attack {
  readonly name: string
  /** Shell lines, which exit with 0 where the attack has succeeded. */
  readonly lines: string
  /** Whether it has succeeded, where that ends or stops the victim. */
  readonly harmed?: (victim: Victim) => boolean
  /** Whether it fails also where functions share one user. */
  readonly neverPossible?: boolean
}

const killed = ({ pid }: Victim) => !isRunning(pid)
const halted = ({ pid }: Victim) => !isAtWork(pid)

const SIGNALS: readonly Attack[] = [
  { name: 'asks whether it lives', lines: 'kill -0 $PID' },
  { name: 'stops it', lines: 'kill -STOP $PID', harmed: halted },
  { name: 'ends it', lines: 'kill -TERM $PID', harmed: killed },
  { name: 'kills it', lines: 'kill -KILL $PID', harmed: killed },
  { name: 'kills its group', lines: 'kill -KILL -$PID', harmed: killed },
  { name: 'kills everything that it can', lines: 'kill -KILL -1', harmed: killed },
  { name: 'kills it by a descriptor', lines: 'attack pidfd-signal $PID 9', harmed: killed },
  { name: 'has the kernel kill it, as the owner of a pipe', lines: 'attack owner-signal $PID 9', harmed: killed },
]

const SETTINGS: readonly Attack[] = [
  { name: 'takes its descriptors by a limit', lines: 'prlimit --pid $PID --nofile=8:8' },
  { name: 'makes it wait for processors', lines: 'renice 19 -p $PID' },
  { name: 'chooses its processors', lines: 'taskset -p 1 $PID' },
  { name: 'makes it wait for disks', lines: 'ionice -c 3 -p $PID' },
  { name: 'has the kernel kill it first when memory runs out', lines: 'echo 1000 > /proc/$PID/oom_score_adj' },
  {
    name: 'freezes it by its cgroup',
    lines: 'echo 1 > /sys/fs/cgroup/unified$GROUP/cgroup.freeze || echo 1 > /sys/fs/cgroup$GROUP/cgroup.freeze',
    neverPossible: true,
  },
]

const TRACING: readonly Attack[] = [
  { name: 'attaches to it', lines: 'attack attach $PID' },
  { name: 'seizes it', lines: 'attack seize $PID' },
  { name: 'reads its memory', lines: 'attack read-memory $PID $ADDRESS' },
  { name: 'writes its memory', lines: 'attack write-memory $PID $ADDRESS' },
  { name: 'takes its descriptor', lines: 'attack take-descriptor $PID 1' },
  { name: 'compares its memory', lines: 'attack compare $PID' },
]

const LOOKS: readonly Attack[] = [
  ...['environ', 'cmdline', 'maps', 'stat', 'status', 'comm', 'io', 'limits', 'mountinfo', 'smaps_rollup'].map(
    (file) => ({
      name: `reads /proc/PID/${file}`,
      lines: `cat /proc/$PID/${file}`,
    }),
  ),
  ...['fd', 'ns', 'task', 'cwd/', 'root/', 'map_files'].map((folder) => ({
    name: `lists /proc/PID/${folder}`,
    lines: `ls /proc/$PID/${folder}`,
  })),
  { name: 'reads /proc/PID/mem', lines: 'attack memory-file $PID $ADDRESS' },
  { name: 'reads its program', lines: 'cat /proc/$PID/exe > /dev/null' },
  { name: 'sees that it runs', lines: 'ls -d /proc/$PID' },
  { name: 'sees it in a list', lines: 'ls /proc | grep -x $PID || { echo Permission denied; false; }' },
  {
    name: 'finds its secret in any environment',
    lines: `grep -als '${SECRET}' /proc/[0-9]*/environ | grep . || { echo Permission denied; false; }`,
  },
  { name: 'forges its output', lines: 'echo forged > /proc/$PID/fd/1' },
  { name: 'takes its output', lines: 'exec 3< /proc/$PID/fd/1' },
]

const FILES: readonly Attack[] = [
  { name: 'reads its code', lines: 'cat $CODE/secret' },
  { name: 'finds its code', lines: 'cat ../../../victim/versions/*/secret' },
  { name: 'runs its code', lines: '$CODE/main.sh true' },
  { name: 'changes its code', lines: 'echo evil >> $CODE/main.sh', neverPossible: true },
  { name: 'adds to its code', lines: 'touch $CODE/evil', neverPossible: true },
  { name: 'reads its home', lines: 'cat $ITS_HOME/secret.$NAME' },
  { name: 'finds its files in the home', lines: 'cat ~/secret.$NAME' },
  { name: 'lists its home', lines: 'ls $ITS_HOME' },
  { name: 'writes to its home', lines: 'echo evil > $ITS_HOME/evil' },
  { name: 'lists its temporary folder', lines: 'ls $ITS_TMPDIR/' },
  { name: 'reads its temporary folder', lines: 'cat $ITS_TMPDIR/secret.$NAME' },
  { name: 'holds up its programs by a lease', lines: 'attack lease $ITS_HOME/secret.$NAME' },
  ...OPEN_FOLDERS.flatMap((folder) => [
    { name: `reads its file in ${folder}`, lines: `cat ${folder}/secret.$NAME` },
    {
      name: `changes its file in ${folder}`,
      lines: `[ -e ${folder}/secret.$NAME ] || { echo No such file; exit 1; }; echo evil >> ${folder}/secret.$NAME`,
    },
  ]),
]

const OBJECTS: readonly Attack[] = [
  { name: 'reads its System V shared memory', lines: 'attack segment $NAME' },
  { name: 'sets its System V semaphore', lines: 'attack semaphore $NAME' },
  { name: 'sends to its System V queue', lines: 'attack message $NAME' },
  { name: 'lists System V objects', lines: `cat /proc/sysvipc/* | grep -v key || { echo Permission denied; false; }` },
  { name: 'opens its POSIX queue', lines: 'attack queue $NAME' },
  { name: 'connects to its abstract socket', lines: 'attack connect $NAME' },
  { name: 'listens at its port', lines: 'attack share-port $PORT' },
  { name: 'finds a key of its', lines: 'attack find-key $NAME' },
  { name: 'reads a key of its by number', lines: 'attack read-key $KEY' },
]

/** In a user and a mount namespace of its own, in which it is root. */
function asRoot(lines: string): string {
  return `unshare -Urm sh -ec '${lines.replaceAll("'", "'\\''")}'`
}

/** What the sandbox covers, for root of a namespace within it. */
export const ATTACKS_IN_NAMESPACES: readonly Attack[] = [
  ...['/proc', '/tmp', '/dev/shm', '/etc/passwd', '~', '~/apps', '$STATE'].map((place) => ({
    name: `uncovers ${place}`,
    lines: asRoot(`umount ${place} || umount -l ${place}`),
  })),
  { name: 'uncovers a copy of /proc', lines: asRoot('mount --rbind / /mnt; umount /mnt/proc') },
  { name: 'copies what is below the covers', lines: asRoot('mount --bind / /mnt; ls /mnt') },
  { name: 'moves a cover away', lines: asRoot('mount --move /proc /mnt') },
  {
    name: 'sees what is below the covers by an overlay',
    lines: asRoot('mount -t overlay -o lowerdir=/:/usr none /mnt; ls /mnt'),
  },
  { name: 'mounts a /proc with all processes', lines: asRoot('mount -t proc none /mnt; ls /mnt/$PID') },
  {
    name: 'may write to its code',
    lines: asRoot('mount -o remount,bind,rw ~/apps/attacker; touch ~/apps/attacker/evil'),
  },
  { name: 'makes a device', lines: asRoot('mknod ~/disk b 254 0') },
  {
    name: 'becomes the user of the other one',
    lines: 'unshare -U sh -c "/bin/echo 0 $ITS_UID 1 > /proc/self/uid_map"',
  },
  { name: 'enters the root of another process', lines: asRoot('chroot /proc/1/root true') },
  { name: 'enters the namespaces of the other one', lines: asRoot('nsenter --target $PID --mount true') },
]

/** By what they are against. Those that end the victim are followed by another victim. */
export const ATTACKS: Readonly<Record<string, readonly Attack[]>> = {
  'by signals': SIGNALS,
  'by its settings': SETTINGS,
  'by tracing': TRACING,
  'by what /proc shows': LOOKS,
  'by its files': FILES,
  'by what it shares with other processes': OBJECTS,
}

/** What a refusal says. */
export const REFUSED =
  /Permission denied|permission denied|not permitted|not mounted|must be superuser|wrong fs type|No such process|No such file|nonexistent|not found|Connection refused|Address already in use|Required key not available|Invalid argument/
