"""The pages of API keys: a key is created, shown once, and revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import reverse

from rooms.auth import api_keys
from rooms.models import ApiKey


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new key: its name and its scopes."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in api_keys.SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text="Grant only the scopes that the backend needs.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes")


class StateFilter(admin.SimpleListFilter):
    """Active or revoked keys."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The two states."""
        return [("active", "Active"), ("revoked", "Revoked")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ApiKey]
    ) -> QuerySet[ApiKey]:
        """The keys in the chosen state."""
        if self.value() is None:
            return queryset
        return queryset.filter(revoked__isnull=self.value() == "active")


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys cannot be changed: create another one, and revoke the old one."""

    form = KeyForm
    list_display = ("name", "state", "may", "created", "last_used")
    search_fields = ("name",)
    list_filter = (StateFilter,)
    actions = ("revoke",)
    # Only `last_used` can be empty.
    empty_value_display = "never"
    change_form_template = "admin/rooms/apikey/change_form.html"

    @admin.display(description="state", ordering="revoked")
    def state(self, key: ApiKey) -> str:
        """Active, or revoked and when."""
        return f"revoked {key.revoked:%Y-%m-%d}" if key.revoked else "active"

    @admin.display(description="scopes")
    def may(self, key: ApiKey) -> str:
        """The scopes of the key."""
        return ", ".join(key.scopes)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All fields of an existing key."""
        if obj is None:
            return ()
        return ("name", "may", "state", "created", "last_used")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Name and scopes for a new key, all fields of an existing one."""
        return (
            ("name", "scopes") if obj is None else self.get_readonly_fields(request, 1)
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the user may revoke keys. A single key cannot be changed."""
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: the history of a revoked key is kept."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list of keys."""
        context = {"title": "API keys"} | (extra_context or {})
        return super().changelist_view(request, context)

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A form that leads to the page with the key, and nowhere else."""
        buttons = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, buttons | (extra_context or {}))

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        """Create the key with `rooms.auth.api_keys`."""
        if not change:
            made, text = api_keys.make(obj.name, form.cleaned_data["scopes"])
            obj.pk, obj.created = made.pk, made.created
            obj.shown = text

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key. This is the only time."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"API key {obj.name}",
            "opts": self.opts,
            "key": obj.shown,
        }
        return TemplateResponse(request, "admin/rooms/apikey/shown.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of a key, with a button to revoke it."""
        context = {"may_revoke": self.has_change_permission(request)}
        return super().change_view(
            request, object_id, form_url, context | (extra_context or {})
        )

    @admin.action(description="Revoke selected API keys", permissions=["change"])
    def revoke(
        self, request: HttpRequest, queryset: QuerySet[ApiKey]
    ) -> HttpResponse | None:
        """Revoke keys, once this is confirmed. Processes refuse them within 10 s."""
        chosen = list(queryset.filter(revoked=None))
        if chosen and "confirmed" not in request.POST:
            return self._ask_first(request, chosen)
        for key in chosen:
            api_keys.revoke(key.name)
            self.log_change(request, key, "Revoked.")
        seconds = api_keys.CACHE_SECONDS
        keys = f"{len(chosen)} API key{pluralize(len(chosen))}"
        them = pluralize(len(chosen), "it,them")
        text = f"Revoked {keys}. All processes refuse {them} within {seconds:g} s."
        messages.success(request, text)
        return None

    def _ask_first(self, request: HttpRequest, chosen: list[ApiKey]) -> HttpResponse:
        back = reverse("admin:rooms_apikey_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Revoke {len(chosen)} API key{pluralize(len(chosen))}?",
            "opts": self.opts,
            "keys": chosen,
            "chosen": [key.pk for key in chosen],
            "action": "revoke",
            "button": "Revoke",
            "target": back,
            "back": back,
        }
        return TemplateResponse(request, "admin/rooms/apikey/revoke.html", context)
