#!/bin/bash
# Usage: [SLOTS=16] start.sh [DIR [STATE]]    a personal HTCondor from the installation DIR, all its state in STATE
# Files in STATE/config.d are read last.
# Returns when the pool takes jobs. Any number of pools may run side by side, each in its own STATE.
set -euo pipefail
DIR=$(realpath -m "${1:-${B2LUIGI_TEST_CLUSTERS:-$HOME/.cache/b2luigi-test-clusters}/htcondor}")
STATE=$(realpath -m "${2:-$DIR/pool}")
SLOTS=${SLOTS:-16}

cannot() { echo "start.sh: cannot start HTCondor here: $*" >&2; exit 3; }

[ -x "$DIR/root/usr/sbin/condor_master" ] || cannot "nothing installed in $DIR (run install.sh $DIR)"
if [ -e "$STATE/master.pid" ] && kill -0 "$(cat "$STATE/master.pid")" 2>/dev/null; then
  cannot "a pool runs in $STATE already (stop.sh $DIR $STATE)"
fi
# HTCondor takes no jobs of uid 0. As root the daemons run in a user namespace where root is called uid 1;
# outside it, their files and processes are plain root's.
AS=()
if [ "$(id -u)" = 0 ]; then
  AS=(unshare -U --map-user=1 --map-group=1)
  "${AS[@]}" true 2>/dev/null || cannot "user namespaces are refused; run as an ordinary user (setpriv --reuid=...)"
fi

mkdir -p "$STATE"/{log,lock,spool,execute,run,config.d}
cat > "$STATE/condor_config" <<CFG
RELEASE_DIR = $DIR/root/usr
BIN = \$(RELEASE_DIR)/bin
SBIN = \$(RELEASE_DIR)/sbin
LIB = \$(RELEASE_DIR)/lib/condor
LIBEXEC = \$(RELEASE_DIR)/libexec/condor
SHARE = \$(RELEASE_DIR)/share/condor
ETC = $STATE
LOCAL_DIR = $STATE
LOG = \$(LOCAL_DIR)/log
LOCK = \$(LOCAL_DIR)/lock
SPOOL = \$(LOCAL_DIR)/spool
EXECUTE = \$(LOCAL_DIR)/execute
RUN = \$(LOCAL_DIR)/run
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR = $STATE/config.d
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD

# --- network: this machine only, ports chosen by the kernel
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:0
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = localdomain
FULL_HOSTNAME = minicondor.localdomain
USE_SHARED_PORT = True
SHARED_PORT_PORT = 0
MASTER_ADDRESS_FILE = \$(LOG)/.master_address
COLLECTOR_ADDRESS_FILE = \$(LOG)/.collector_address
SCHEDD_ADDRESS_FILE = \$(LOG)/.schedd_address
SHARED_PORT_DAEMON_AD_FILE = \$(LOG)/shared_port_ad
DAEMON_SOCKET_DIR = auto
# one domain: submit host and node share their files
UID_DOMAIN = minicondor
FILESYSTEM_DOMAIN = minicondor

# --- security: one user, one machine
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
SEC_CLIENT_AUTHENTICATION_METHODS = FS
SEC_DEFAULT_ENCRYPTION = OPTIONAL
SEC_DEFAULT_INTEGRITY = OPTIONAL
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_NEGOTIATOR = *
ALLOW_ADMINISTRATOR = *
ALLOW_CONFIG = *
# without it the tools of root look for a user called condor and give up
CONDOR_IDS = 0.0

# --- slots: more than cores, the jobs of tests mostly sleep
NUM_CPUS = $SLOTS
MEMORY = $((SLOTS*256))
NUM_SLOTS = $SLOTS
NUM_SLOTS_TYPE_1 = $SLOTS
SLOT_TYPE_1 = cpus=1, memory=256
SLOT_TYPE_1_PARTITIONABLE = False
START = True
SUSPEND = False
PREEMPT = False
KILL = False
WANT_SUSPEND = False
WANT_VACATE = False
RANK = 0

# --- speed
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
JOB_START_DELAY = 0
JOB_START_COUNT = 100
UPDATE_INTERVAL = 5
POLLING_INTERVAL = 2
STARTER_UPDATE_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 1
SHADOW_QUEUE_UPDATE_INTERVAL = 2
CLAIM_WORKLIFE = 3600
RUNBENCHMARKS = 0
STARTD_CRON_JOBLIST =
SCHEDD_CRON_JOBLIST =
# the starter crashes on removing a job with children when the procd is off
USE_PROCD = True
CREATE_CGROUP_WITHOUT_ROOT = False
MachineMaxVacateTime = 2
KILLING_TIMEOUT = 2
SHADOW_LOG = \$(LOG)/ShadowLog
CONDOR_Q_DASH_BATCH_IS_DEFAULT = False
CFG

export CONDOR_CONFIG=$STATE/condor_config
rm -f "$STATE"/log/.*_address
setsid "${AS[@]}" "$DIR/root/usr/sbin/condor_master" -f > "$STATE/log/master.out" 2>&1 < /dev/null &
echo $! > "$STATE/master.pid"

ready() {
  "$DIR/bin/condor_q" -json > /dev/null 2>&1 \
    && [ -n "$("$DIR/bin/condor_status" -af Name -limit 1 2>/dev/null)" ]
}
for _ in $(seq 200); do
  ready && { echo "export CONDOR_CONFIG=$CONDOR_CONFIG PATH=$DIR/bin:\$PATH"; exit 0; }
  kill -0 "$(cat "$STATE/master.pid")" 2>/dev/null || break
  sleep 0.1
done
"$(dirname "$(realpath "$0")")/stop.sh" "$DIR" "$STATE" || true
cannot "the pool did not come up; its logs are in $STATE/log"
