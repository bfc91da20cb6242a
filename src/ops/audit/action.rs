//! The actions of operators, as the audit log names them.

/// Every action of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A job is made due now.
    JobRetry,
    /// A job is cancelled.
    JobCancel,
    /// A job is snoozed.
    JobSnooze,
    /// A dead letter is redriven.
    JobRedrive,
    /// A dead letter is discarded.
    JobDiscard,
    /// Dead letters are redriven together.
    DeadLettersRedrive,
    /// A tag is paused.
    QueuePause,
    /// A tag is resumed.
    QueueResume,
    /// A tag is paused, and its running attempts are waited for.
    QueueDrain,
    /// A bulk operation is started.
    BulkStart,
    /// A bulk operation is stopped.
    BulkStop,
    /// An extra trip is added.
    TripAdd,
    /// The timetable's trips are made.
    TripsGenerate,
    /// A network is imported.
    NetworkImport,
    /// One trip gets another bus or other prices.
    TripChange,
    /// Seats are blocked.
    SeatsBlock,
    /// Blocked seats are released.
    SeatsRelease,
    /// A trip is cancelled.
    TripCancel,
    /// Money is put into a wallet.
    WalletTopUp,
    /// A ledger entry is corrected.
    WalletCorrect,
    /// A change of a wallet is left to a second operator.
    ApprovalAsk,
    /// A second operator approves it, and the money moves.
    ApprovalGive,
    /// It is refused, or taken back.
    ApprovalRefuse,
    /// An unpaid order is closed.
    OrderClose,
    /// A paid order is refunded.
    OrderRefund,
    /// A note is written on an order.
    OrderNote,
    /// An account of the operations side is added.
    OperatorAdd,
    /// Demo data is added.
    DemoData,
    /// The database accepts other secrets.
    SecretsAccept,
    /// After a restore, sessions, authorizations and codes of before are ended.
    RestoreVoid,
    /// An account of the operations side signs in.
    OperatorSignIn,
    /// An account is read.
    RiderRead,
    /// An order is read.
    OrderRead,
    /// The passengers of a trip are read.
    ManifestRead,
    /// Accounts are searched by a name or an e-mail address.
    RidersSearch,
    /// All that is held of an account is exported.
    RiderExport,
    /// An account is forgotten.
    RiderForget,
    /// An account's e-mail address is marked as verified.
    EmailVerify,
    /// An account gets another role.
    AccountRole,
    /// An account is switched off.
    AccountDisable,
    /// An account is switched on.
    AccountEnable,
    /// The sessions of an account are ended.
    AccountSessionsEnd,
    /// A one-time code for a new password is made.
    AccountReset,
    /// An account sets up its own second factor.
    SecondFactorEnrol,
    /// A webhook is added.
    WebhookAdd,
    /// A webhook is changed.
    WebhookChange,
    /// A webhook is enabled.
    WebhookEnable,
    /// A webhook is disabled.
    WebhookDisable,
    /// A webhook gets another secret.
    WebhookRotate,
    /// A webhook is removed.
    WebhookRemove,
    /// Events are sent to a webhook again.
    WebhookRedeliver,
    /// The secret of a webhook is read.
    WebhookSecretRead,
}

impl Action {
    /// All.
    pub const ALL: [Self; 52] = [
        Self::JobRetry,
        Self::JobCancel,
        Self::JobSnooze,
        Self::JobRedrive,
        Self::JobDiscard,
        Self::DeadLettersRedrive,
        Self::QueuePause,
        Self::QueueResume,
        Self::QueueDrain,
        Self::BulkStart,
        Self::BulkStop,
        Self::TripAdd,
        Self::TripsGenerate,
        Self::NetworkImport,
        Self::TripChange,
        Self::SeatsBlock,
        Self::SeatsRelease,
        Self::TripCancel,
        Self::WalletTopUp,
        Self::WalletCorrect,
        Self::ApprovalAsk,
        Self::ApprovalGive,
        Self::ApprovalRefuse,
        Self::OrderClose,
        Self::OrderRefund,
        Self::OrderNote,
        Self::OperatorAdd,
        Self::DemoData,
        Self::SecretsAccept,
        Self::RestoreVoid,
        Self::OperatorSignIn,
        Self::RiderRead,
        Self::OrderRead,
        Self::ManifestRead,
        Self::RidersSearch,
        Self::RiderExport,
        Self::RiderForget,
        Self::EmailVerify,
        Self::AccountRole,
        Self::AccountDisable,
        Self::AccountEnable,
        Self::AccountSessionsEnd,
        Self::AccountReset,
        Self::SecondFactorEnrol,
        Self::WebhookAdd,
        Self::WebhookChange,
        Self::WebhookEnable,
        Self::WebhookDisable,
        Self::WebhookRotate,
        Self::WebhookRemove,
        Self::WebhookRedeliver,
        Self::WebhookSecretRead,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobRetry => "job_retry",
            Self::JobCancel => "job_cancel",
            Self::JobSnooze => "job_snooze",
            Self::JobRedrive => "job_redrive",
            Self::JobDiscard => "job_discard",
            Self::DeadLettersRedrive => "dead_letters_redrive",
            Self::QueuePause => "queue_pause",
            Self::QueueResume => "queue_resume",
            Self::QueueDrain => "queue_drain",
            Self::BulkStart => "bulk_start",
            Self::BulkStop => "bulk_stop",
            Self::TripAdd => "trip_add",
            Self::TripsGenerate => "trips_generate",
            Self::NetworkImport => "network_import",
            Self::TripChange => "trip_change",
            Self::SeatsBlock => "seats_block",
            Self::SeatsRelease => "seats_release",
            Self::TripCancel => "trip_cancel",
            Self::WalletTopUp => "wallet_top_up",
            Self::WalletCorrect => "wallet_correct",
            Self::ApprovalAsk => "approval_ask",
            Self::ApprovalGive => "approval_give",
            Self::ApprovalRefuse => "approval_refuse",
            Self::OrderClose => "order_close",
            Self::OrderRefund => "order_refund",
            Self::OrderNote => "order_note",
            Self::OperatorAdd => "operator_add",
            Self::DemoData => "demo_data",
            Self::SecretsAccept => "secrets_accept",
            Self::RestoreVoid => "restore_void",
            Self::OperatorSignIn => "operator_sign_in",
            Self::RiderRead => "rider_read",
            Self::OrderRead => "order_read",
            Self::ManifestRead => "manifest_read",
            Self::RidersSearch => "riders_search",
            Self::RiderExport => "rider_export",
            Self::RiderForget => "rider_forget",
            Self::EmailVerify => "email_verify",
            Self::AccountRole => "account_role",
            Self::AccountDisable => "account_disable",
            Self::AccountEnable => "account_enable",
            Self::AccountSessionsEnd => "account_sessions_end",
            Self::AccountReset => "account_reset",
            Self::SecondFactorEnrol => "second_factor_enrol",
            Self::WebhookAdd => "webhook_add",
            Self::WebhookChange => "webhook_change",
            Self::WebhookEnable => "webhook_enable",
            Self::WebhookDisable => "webhook_disable",
            Self::WebhookRotate => "webhook_rotate",
            Self::WebhookRemove => "webhook_remove",
            Self::WebhookRedeliver => "webhook_redeliver",
            Self::WebhookSecretRead => "webhook_secret_read",
        }
    }
}
