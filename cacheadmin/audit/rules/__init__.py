"""The audit rules, in the order they are reported. Adding one is adding a file and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.audit.rules.access_times import AccessTimes
from cacheadmin.audit.rules.cache_root_mode import CacheRootMode
from cacheadmin.audit.rules.cache_size import CacheSize
from cacheadmin.audit.rules.default_acl_missing import DefaultAclMissing
from cacheadmin.audit.rules.environment_broken import EnvironmentBroken
from cacheadmin.audit.rules.environment_missing import EnvironmentMissing
from cacheadmin.audit.rules.environment_unreadable import EnvironmentUnreadable
from cacheadmin.audit.rules.environment_unregistered import EnvironmentUnregistered
from cacheadmin.audit.rules.foreign_owner import ForeignOwner
from cacheadmin.audit.rules.group_differs import GroupDiffers
from cacheadmin.audit.rules.hardlinks_outside import HardlinksOutside
from cacheadmin.audit.rules.known_advisory import KnownAdvisory
from cacheadmin.audit.rules.link_mode import LinkModeUnwanted
from cacheadmin.audit.rules.links_out import LinksOut
from cacheadmin.audit.rules.lock_file import LockFile
from cacheadmin.audit.rules.lock_held_long import LockHeldLong
from cacheadmin.audit.rules.locks_unreliable import LocksUnreliable
from cacheadmin.audit.rules.name_taken import NameTaken
from cacheadmin.audit.rules.no_user_xattrs import NoUserXattrs
from cacheadmin.audit.rules.not_audited import NotAudited
from cacheadmin.audit.rules.not_group_writable import NotGroupWritable
from cacheadmin.audit.rules.not_readable import NotReadable
from cacheadmin.audit.rules.pins_broken import PinsBroken
from cacheadmin.audit.rules.pins_expired import PinsExpired
from cacheadmin.audit.rules.policy_file import PolicyFile
from cacheadmin.audit.rules.process_from_cache import ProcessFromCache
from cacheadmin.audit.rules.protection_missing import ProtectionMissing
from cacheadmin.audit.rules.quarantine_overdue import QuarantineOverdue
from cacheadmin.audit.rules.read_only_cache import ReadOnlyCache
from cacheadmin.audit.rules.registry_coverage import RegistryCoverage
from cacheadmin.audit.rules.registry_entry_wrong import RegistryEntryWrong
from cacheadmin.audit.rules.setuid_file import SetuidFile
from cacheadmin.audit.rules.stale_observation import StaleObservation
from cacheadmin.audit.rules.suppression_expired import SuppressionExpired
from cacheadmin.audit.rules.suppression_unused import SuppressionUnused
from cacheadmin.audit.rules.unknown_bucket import UnknownBucket
from cacheadmin.audit.rules.unknown_release import UnknownRelease
from cacheadmin.audit.rules.uv_below_minimum import UvBelowMinimum
from cacheadmin.audit.rules.uv_without_lock import UvWithoutLock
from cacheadmin.audit.rules.world_writable import WorldWritable

if TYPE_CHECKING:
    from cacheadmin.audit.rule import Rule

RULES: tuple[type[Rule], ...] = (
    KnownAdvisory,
    UnknownBucket,
    CacheRootMode,
    NotGroupWritable,
    NotReadable,
    GroupDiffers,
    DefaultAclMissing,
    WorldWritable,
    ForeignOwner,
    SetuidFile,
    LinksOut,
    HardlinksOutside,
    LockFile,
    LocksUnreliable,
    ReadOnlyCache,
    AccessTimes,
    NoUserXattrs,
    LockHeldLong,
    ProcessFromCache,
    UvWithoutLock,
    UvBelowMinimum,
    UnknownRelease,
    EnvironmentBroken,
    EnvironmentUnreadable,
    EnvironmentMissing,
    EnvironmentUnregistered,
    RegistryCoverage,
    RegistryEntryWrong,
    NameTaken,
    LinkModeUnwanted,
    PinsBroken,
    PinsExpired,
    CacheSize,
    QuarantineOverdue,
    PolicyFile,
    StaleObservation,
    ProtectionMissing,
    SuppressionExpired,
    SuppressionUnused,
    NotAudited,
)
