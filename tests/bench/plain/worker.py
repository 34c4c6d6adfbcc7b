"""The plain side's two actors on stock Dramatiq with RabbitMQ; run by `dramatiq tests.bench.plain.worker`."""

import os
import smtplib
from email.message import EmailMessage
from pathlib import Path

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from jinja2 import Environment, FileSystemLoader, select_autoescape
from sqlmodel import Session

from tests.bench.plain.tables import Activity, engine

dramatiq.set_broker(RabbitmqBroker(url=os.environ["PLAIN_RABBITMQ_URL"]))

SMTP_HOST = os.environ["PLAIN_SMTP_HOST"]
SMTP_PORT = int(os.environ["PLAIN_SMTP_PORT"])
templates = Environment(
    loader=FileSystemLoader(Path(__file__).parents[3] / "consumers" / "templates"),  # both sides send the same mail
    autoescape=select_autoescape(),
)


@dramatiq.actor
def send_welcome(name: str, email: str) -> None:
    """Send the welcome mail, text and HTML."""
    message = EmailMessage()
    message["Subject"] = templates.get_template("welcome.subject.txt").render(name=name)
    message["From"] = "Tidings <no-reply@tidings.example>"
    message["To"] = email
    message.set_content(templates.get_template("welcome.txt").render(name=name))
    message.add_alternative(templates.get_template("welcome.html").render(name=name), subtype="html")
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT, timeout=30) as server:
        server.send_message(message)


@dramatiq.actor
def log_activity(activity_type: str, subject: str) -> None:
    """Write one line of the activity log."""
    with Session(engine) as session:
        session.add(Activity(type=activity_type, subject=subject))
        session.commit()
